"""From the setting `guard.engine` to a guard."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.guards.wrapping import split
from proguard_core.novelty.novelty import from_setting
from proguard_core.policy.policy import Policy

Factory = Callable[[GuardOptions, Policy], Guard]

_ENGINES = {
    "embedded": "proguard_core.guards.embedded:create",
    "openai": "proguard_core.guards.openai:create",
    "vllm": "proguard_core.guards.vllm:create",
    "transformers": "proguard_core.guards.transformers:create",
}

# They write a name for a novel risk and cannot say what it is near to.
_CHAT_ENGINES = {"openai", "vllm", "transformers"}


def create(engine: str, options: GuardOptions, policy: Policy) -> Guard:
    """The guard of an engine name or of `package.module:factory`, in the wrappers that are set, not yet started.

    ValueError names what is wrong with the setting; a missing package of the engine is one of these.
    """
    own, wrappers = split(options)
    return wrappers.around(_bare(engine, _with_novelty(engine, own, policy), policy), policy, create)


def _with_novelty(engine: str, options: GuardOptions, policy: Policy) -> GuardOptions:
    """The key `novelty` belongs to all engines with a chat model, and to an engine of the user's that asks for it."""
    settings = dict(options.settings)
    value = settings.pop("novelty", None)
    if engine == "embedded" and value is not None:
        raise ValueError("guard.settings.novelty: the embedded guard finds what a novel risk is near to by itself")
    if value is None and engine not in _CHAT_ENGINES:
        return options
    return replace(options, settings=settings, novelty=from_setting(value, policy))


def _bare(engine: str, options: GuardOptions, policy: Policy) -> Guard:
    target = _ENGINES.get(engine, engine)
    module_name, colon, attribute = target.partition(":")
    if not colon:
        known = ", ".join(sorted(_ENGINES))
        raise ValueError(f"guard.engine = {engine!r} is neither one of {known} nor of the form package.module:factory")
    try:
        factory = cast(Factory, getattr(importlib.import_module(module_name), attribute))
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(f"guard.engine = {engine!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ValueError(f"guard.engine = {engine!r}: {module_name} has no {attribute}") from error
    if not callable(factory):
        raise ValueError(f"guard.engine = {engine!r}: {target} is no factory of a guard")
    return factory(options, policy)
