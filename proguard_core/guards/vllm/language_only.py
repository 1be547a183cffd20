"""Whether vLLM would apply all of an adapter. What belongs to the vision tower it ignores with a line in its log."""

import re

from proguard_core.guards.adapters import WEIGHTS_FILE, Adapter
from proguard_core.guards.protocol import GuardError

_PART = r"lora_(?P<side>[AB])(?:\.default)?\.weight"
_PROJECTION = r"(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)"
_KEY = re.compile(
    rf"(?:base_model\.model\.)?(?P<module>(?:model\.)?(?:language_model\.)?(?:model\.)?layers\.(?P<layer>\d+)\.{_PROJECTION})\.{_PART}"
)
_MOST_NAMED = 3


def check(adapter: Adapter, layers: int) -> None:
    """GuardError unless each key is half of a pair in one of the language model's layers. Blocks: reads the header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(adapter.path / WEIGHTS_FILE), framework="numpy") as file:
            keys = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise GuardError(f"the adapter {adapter.name!r} cannot be read: {error}") from error
    if not keys:
        raise GuardError(f"the adapter {adapter.name!r} is empty")
    sides: dict[str, set[str]] = {}
    foreign: list[str] = []
    for key in keys:
        match = _KEY.fullmatch(key)
        if match is None or int(match["layer"]) >= layers:
            foreign.append(key)
        else:
            sides.setdefault(match["module"], set()).add(match["side"])
    if foreign:
        shown = ", ".join(sorted(foreign)[:_MOST_NAMED])
        raise GuardError(
            f"{len(foreign)} of {len(keys)} weights of the adapter {adapter.name!r} belong to no layer of the language "
            f"model ({shown}): vLLM would not apply them. Train adapters on the language model only"
        )
    if halves := sorted(module for module, found in sides.items() if len(found) < 2):
        raise GuardError(f"the adapter {adapter.name!r} has only half of {halves[0]}")
