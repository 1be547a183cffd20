"""What the vllm engine takes from `[guard]` and `[guard.settings]`, checked."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from proguard_core.guards import checked
from proguard_core.guards.adapters import BASE, KEPT
from proguard_core.guards.protocol import GuardLimits, GuardOptions

_LIMITS = GuardLimits()
# More hardly help: what they do between two operations on pixels holds Python's lock.
PICTURE_THREADS = min(4, os.cpu_count() or 1)
_OURS = "guard.settings.{} says it"
_POST = "posts would be logged or sent"
_MEDIA = "pictures are given as pixels, nothing is ever fetched"
_BOUND = "the worker bounds what is under way; a question turned away would be a post not judged"
_ADAPTERS = "guard.settings.adapters turns adapters on"
# Arguments of vLLM that promises of ours rest on.
REFUSED = {
    "model": "guard.model says it",
    "max_model_len": _OURS.format("max_model_len"),
    "max_lora_rank": _OURS.format("max_adapter_rank"),
    "limit_mm_per_prompt": "a question shows one picture",
    "enable_lora": _ADAPTERS,
    "max_loras": _ADAPTERS,
    "max_cpu_loras": _ADAPTERS,
    "lora_target_modules": "all of an adapter is applied",
    "language_model_only": "pictures are judged",
    "mm_encoder_only": "a guard writes text",
    "tokens_only": "answers are read as text",
    "max_num_queued_reqs": _BOUND,
    "max_num_queued_tokens": _BOUND,
    "enable_log_requests": _POST,
    "disable_log_stats": "the worker has metrics of its own",
    "otlp_traces_endpoint": _POST,
    "allowed_local_media_path": _MEDIA,
    "allowed_media_domains": _MEDIA,
    "skip_tokenizer_init": "answers are read as text",
    "runner": "a guard writes text",
    "worker_extension_cls": "by it the engine ends with its worker",
    "seed": "answers are greedy",
    "generation_config": "answers are greedy, whatever the checkpoint's defaults are",
    "override_generation_config": "answers are greedy",
}


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the model is loaded and asked. Units: tokens, seconds; window_bytes and max_pixels as in GuardLimits.

    picture_threads: pictures that are prepared at once. engine: further arguments of vLLM's AsyncEngineArgs, as they
    are. weights, prompts: as in the openai engine.
    """

    model: str
    max_model_len: int = 8192
    output_cap: int = 1024
    request_timeout_s: float = 45.0
    structured_retry: bool = True
    structured_answer: bool = False
    window_bytes: int = _LIMITS.window_bytes
    max_pixels: int = _LIMITS.max_pixels
    picture_threads: int = PICTURE_THREADS
    adapters: Path | None = None
    adapter: str = BASE
    max_adapter_rank: int = 32
    weights: str = ""
    prompts: Path | None = None
    engine: dict[str, object] = field(default_factory=dict)

    @property
    def answer_settings(self) -> str:
        """Those that an answer depends on, as one line: part of the revision. Quantisation is among `engine`'s."""
        engine = json.dumps(self.engine, sort_keys=True, default=str)
        own = (self.output_cap, self.structured_retry, self.structured_answer, self.window_bytes, self.max_pixels)
        return f"{' '.join(map(str, own))} {engine}"

    @property
    def arguments(self) -> dict[str, object]:
        """For AsyncEngineArgs. The processor's size of a picture is bounded: vLLM reserves memory for the largest."""
        ours: dict[str, object] = {
            "model": self.model,
            "max_model_len": self.max_model_len,
            "limit_mm_per_prompt": {"image": 1, "video": 0},
            "seed": 0,
            "generation_config": "vllm",
            "disable_log_stats": True,
            "enable_log_requests": False,
            "worker_extension_cls": "proguard_core.guards.vllm.owner.EndsWithOwner",
        }
        if self.adapters is not None:
            ours |= {"enable_lora": True, "max_lora_rank": self.max_adapter_rank, "max_loras": KEPT}
        usual: dict[str, object] = {
            "enable_prefix_caching": True,
            "mm_processor_kwargs": {"max_pixels": self.max_pixels},
            # It counts on pictures that come in one order and all arrive: one that was prepared for a question that was
            # then given up would be missing when it is asked for again.
            "mm_processor_cache_gb": 0,
            # Blanks between the parts of a prescribed form are free otherwise: a model can write them for ever.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        }
        return usual | self.engine | ours


_TEXTS = ("revision", "name", "token", "tokenizer", "dir", "path", "config_format", "backend")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+(?:e-?[0-9]+)?|-?[0-9]+e-?[0-9]+", re.IGNORECASE)
KEYS = set(EngineSettings.__dataclass_fields__) - {"model"}


def read(options: GuardOptions) -> EngineSettings:
    """ValueError names the wrong key."""
    own = options.settings
    checked.engines_own(own, KEYS, "the vllm guard", checked.CHAT)
    checked.in_process(options, "the vllm guard")
    engine = _engine(own)
    return EngineSettings(
        model=checked.model(options),
        max_model_len=checked.whole(own, "max_model_len", 8192),
        output_cap=checked.whole(own, "output_cap", 1024),
        request_timeout_s=checked.positive(own, "request_timeout_s", 45.0),
        structured_retry=checked.flag(own, "structured_retry", True),
        structured_answer=checked.flag(own, "structured_answer", False),
        window_bytes=checked.whole(own, "window_bytes", _LIMITS.window_bytes),
        max_pixels=checked.whole(own, "max_pixels", _LIMITS.max_pixels),
        picture_threads=_picture_threads(own, engine),
        adapters=checked.folder(own, "adapters"),
        adapter=checked.adapter(own),
        max_adapter_rank=checked.whole(own, "max_adapter_rank", 32),
        weights=checked.text(own, "weights", ""),
        prompts=checked.folder(own, "prompts"),
        engine=engine,
    )


def _picture_threads(own: checked.Table, engine: dict[str, object]) -> int:
    cached = bool(engine.get("mm_processor_cache_gb", 0))
    threads = checked.whole(own, "picture_threads", 1 if cached else PICTURE_THREADS)
    if cached and threads > 1:
        raise ValueError("guard.settings.engine.mm_processor_cache_gb needs guard.settings.picture_threads = 1")
    return threads


def _engine(own: checked.Table) -> dict[str, object]:
    table = checked.spelled(own.get("engine", {}))
    if not isinstance(table, dict):
        raise ValueError("guard.settings.engine must be a table of vLLM's own arguments")
    for key, why in REFUSED.items():
        if key in table:
            raise ValueError(f"guard.settings.engine.{key} cannot be set: {why}")
    return {key: _typed(key, value) for key, value in cast(dict[str, object], table).items()}


def _typed(key: str, value: object) -> object:
    """A number or a truth value that the environment gave as text; names, places and tokens of vLLM's stay text."""
    value = checked.spelled(value)
    if not isinstance(value, str) or key.endswith(_TEXTS):
        return value
    if value.lower() in checked.FLAGS and not value.isdigit():
        return checked.FLAGS[value.lower()]
    try:
        return int(value) if value.lstrip("-").isdecimal() else float(value) if _DECIMAL.fullmatch(value) else value
    except ValueError:  # more digits than Python reads
        return value
