"""Values of `[guard.settings]`, untyped from TOML or text from the environment. ValueError names the wrong key."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path

from proguard_core.guards.adapters import BASE
from proguard_core.guards.protocol import GuardOptions

# Keys of what is put around an engine, whichever it is (wrapping.py).
WRAPPERS = ("cache_size", "cascade", "shadow")
# Of what engines with a chat model have besides (factory.py).
CHAT = ("novelty",)

# Beyond it a number is a slip, and the machines below take none.
_MOST_DIGITS = 18

Table = Mapping[str, object]
FLAGS = {"true": True, "1": True, "false": False, "0": False}


def only(table: Table, known: Collection[str]) -> None:
    """Refuse keys that nobody knows, in a table that the caller names."""
    if unknown := sorted(set(table) - set(known)):
        raise ValueError(f"there is no {', '.join(unknown)}, only {', '.join(sorted(known))}")


def engines_own(settings: Table, known: Collection[str], whose: str, placed: Collection[str] = ()) -> None:
    """Refuse keys that neither an engine nor what is put around it knows.

    placed: further keys that were taken out before the engine is asked, as WRAPPERS were.
    """
    if unknown := sorted(set(settings) - set(known)):
        every = ", ".join(sorted({*known, *placed, *WRAPPERS}))
        raise ValueError(f"guard.settings has no {', '.join(unknown)} for {whose}, only {every}")


def in_process(options: GuardOptions, whose: str) -> None:
    """Refuse servers where the engine is none that asks them."""
    if options.base_urls:
        raise ValueError(f'guard.base_urls is for guard.engine = "openai"; {whose} runs in this process')


def model(options: GuardOptions, what: str = "the model: a folder or a name of the Hugging Face hub") -> str:
    """The model's name, without which an engine with a chat model has nothing to ask."""
    if not options.model:
        raise ValueError(f"guard.model must name {what}")
    return options.model


def whole(settings: Table, key: str, default: int, least: int = 1) -> int:
    """A whole number from `least` on."""
    value = settings.get(key, default)
    if isinstance(value, str) and value.isdecimal() and len(value) < _MOST_DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 10**_MOST_DIGITS:
        raise ValueError(f"guard.settings.{key} = {value!r} must be a whole number from {least} on")
    return value


def positive(settings: Table, key: str, default: float, most: float = float("inf")) -> float:
    """A number above 0 and up to `most`."""
    value = settings.get(key, default)
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if not (0 < number <= most and math.isfinite(number)):
        upper = "" if most == float("inf") else f" and at most {most:g}"
        raise ValueError(f"guard.settings.{key} = {value!r} must be a number above 0{upper}")
    return number


def share(settings: Table, key: str, default: float) -> float:
    """A number from 0 to 1."""
    value = settings.get(key, default)
    none = not isinstance(value, bool) and value in (0, "0", "0.0")
    return 0.0 if none else positive(settings, key, default, most=1.0)


def flag(settings: Table, key: str, default: bool) -> bool:
    """true or false."""
    value = settings.get(key, default)
    if isinstance(value, str):
        value = FLAGS.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError(f"guard.settings.{key} = {value!r} must be true or false")
    return value


def spelled(value: object) -> object:
    """A list or a table that the environment can only give as JSON text; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def table(settings: Table, key: str) -> dict[str, object] | None:
    """A table, or JSON text of one; None where there is none."""
    value = spelled(settings.get(key))
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"guard.settings.{key} must be a table")
    return value


def text(settings: Table, key: str, default: str | None = None) -> str:
    """A text; it has to be there where there is no default."""
    value = settings.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise ValueError(f"guard.settings.{key} = {value!r} must be a text")
    return value


def folder(settings: Table, key: str) -> Path | None:
    """A folder, None where none is named."""
    return Path(named) if (named := text(settings, key, "")) else None


def adapter(settings: Table) -> str:
    """The name of the adapter in force at the start, BASE for none; it lies in the folder `adapters`."""
    name = text(settings, "adapter", BASE)
    if name != BASE and not text(settings, "adapters", ""):
        raise ValueError("guard.settings.adapter needs guard.settings.adapters, the folder in which adapters lie")
    return name


def one_of(settings: Table, key: str, choices: tuple[str, ...]) -> str:
    """One of the choices, the first by default."""
    value = settings.get(key, choices[0])
    if value not in choices:
        raise ValueError(f"guard.settings.{key} = {value!r} must be one of {', '.join(choices)}")
    return str(value)
