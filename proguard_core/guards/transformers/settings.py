"""What the transformers engine takes from `[guard]` and `[guard.settings]`, checked."""

from dataclasses import dataclass
from pathlib import Path

from proguard_core.guards import checked
from proguard_core.guards.adapters import BASE
from proguard_core.guards.protocol import GuardLimits, GuardOptions

DTYPES = ("auto", "float32", "bfloat16", "float16")
_LIMITS = GuardLimits()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How the model is loaded and asked. Units: tokens, seconds; window_bytes and max_pixels as in GuardLimits.

    batch_size: questions that one pass of the model answers. device: as torch names it, `auto` for the first GPU if
    there is one. dtype `auto`: bfloat16 on a GPU, float32 elsewhere. weights, prompts: as in the openai engine.
    """

    model: str
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 1
    output_cap: int = 1024
    request_timeout_s: float = 45.0
    window_bytes: int = _LIMITS.window_bytes
    max_pixels: int = _LIMITS.max_pixels
    adapters: Path | None = None
    adapter: str = BASE
    weights: str = ""
    prompts: Path | None = None

    @property
    def answer_settings(self) -> str:
        """Those that an answer depends on, as one line: part of the revision."""
        own = (self.device, self.dtype, self.batch_size, self.output_cap, self.window_bytes, self.max_pixels)
        return " ".join(map(str, own))


KEYS = set(ModelSettings.__dataclass_fields__) - {"model"}


def read(options: GuardOptions) -> ModelSettings:
    """ValueError names the wrong key."""
    own = options.settings
    checked.engines_own(own, KEYS, "the transformers guard", checked.CHAT)
    checked.in_process(options, "the transformers guard")
    return ModelSettings(
        model=checked.model(options),
        device=checked.text(own, "device", "auto") or "auto",
        dtype=checked.one_of(own, "dtype", DTYPES),
        batch_size=checked.whole(own, "batch_size", 1),
        output_cap=checked.whole(own, "output_cap", 1024),
        request_timeout_s=checked.positive(own, "request_timeout_s", 45.0),
        window_bytes=checked.whole(own, "window_bytes", _LIMITS.window_bytes),
        max_pixels=checked.whole(own, "max_pixels", _LIMITS.max_pixels),
        adapters=checked.folder(own, "adapters"),
        adapter=checked.adapter(own),
        weights=checked.text(own, "weights", ""),
        prompts=checked.folder(own, "prompts"),
    )
