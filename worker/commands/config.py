"""`proguard config show`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from worker.secret_values import masked
from worker.settings import Settings


def show(settings: Settings) -> int:
    """The settings in force as a TOML file that could be loaded again, but for its masked secrets."""
    tables = masked(settings.model_dump(mode="json"))
    print("\n".join(_toml(tables)), end="\n")
    return 0


def _toml(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """A table's own values first, then the tables below it, as TOML wants them."""
    below = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    own = {key: value for key, value in table.items() if key not in below}
    if path and (own or not below):
        yield f"\n[{path}]"
    for key, value in own.items():
        # TOML has no null: what is not set is shown as a comment.
        yield f"# {_key(key)} = (not set)" if value is None else f"{_key(key)} = {_value(value)}"
    for key, value in below.items():
        yield from _toml(value, f"{path}.{_key(key)}" if path else _key(key))


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isalnum() and bare.isascii() else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, and for surrogate pairs, which ensure_ascii would write.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}"
    return json.dumps(value)
