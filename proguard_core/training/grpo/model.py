"""The frozen base, its processor and the adapter that is trained: a new one, or the champion's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.guards.adapters import CONFIG_FILE, WEIGHTS_FILE
from proguard_core.training.grpo import weights
from proguard_core.training.grpo.files import RunRefused, base_digest, digest, read_json, write_json
from proguard_core.training.grpo.settings import GrpoSettings, Precision

# Layers of the language model: vLLM ignores adapters on the vision tower, and serving would differ from training.
TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
ORIGIN = "proguard.json"
"""Beside an adapter: the digest of the base that it was made for, and of the adapter that it came from."""

_FILES = (CONFIG_FILE, WEIGHTS_FILE)


@dataclass(frozen=True, slots=True)
class Champion:
    """The adapter that training goes on from. digest: of its files."""

    folder: Path
    digest: str


def read_champion(folder: Path, base: str, settings: GrpoSettings) -> Champion:
    """The champion in a folder. base: digest of the base. RunRefused where it was made for another base or rank."""
    try:
        config = read_json(folder / CONFIG_FILE)
        origin = read_json(folder / ORIGIN)
        found = digest(folder / name for name in _FILES)
    except OSError as error:
        raise RunRefused(f"{folder} is no adapter of ours: {error.strerror} ({error.filename})") from error
    if origin.get("base") != base:
        raise RunRefused(f"the champion in {folder} was made for another base model")
    if origin.get("adapter") != found:
        raise RunRefused(f"the champion in {folder} is not what was written: its digest differs")
    for key, wanted in (("r", settings.lora_rank), ("lora_alpha", settings.lora_alpha)):
        if config.get(key) != wanted:
            raise RunRefused(
                f"the champion has {key} {config.get(key)}, the settings have {wanted}: an adapter keeps it"
            )
    return Champion(folder, found)


def precision(settings: GrpoSettings) -> Precision:
    """What the base is loaded in on this machine."""
    import torch

    if settings.precision != "auto":
        return settings.precision
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if has_bfloat16 else "float32"


def load_processor(base: Path, settings: GrpoSettings) -> Any:
    """The base's processor, pictures as big as the guard that serves has them, filled up on the left."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(base, padding_side="left", truncation_side="left")
    if not hasattr(processor, "image_processor"):
        raise RunRefused(f"{base} has no image processor: it is no vision-language model")
    processor.image_processor.size["longest_edge"] = settings.max_pixels
    return _taking_rows_without_pictures(processor)


def load_model(base: Path, champion: Champion | None, settings: GrpoSettings) -> Any:
    """PEFT's model: base frozen, one adapter that trains. Weights of a new one are as the seed says."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForImageTextToText, set_seed

    set_seed(settings.seed)
    loaded = AutoModelForImageTextToText.from_pretrained(base, dtype=getattr(torch, precision(settings)))
    model = get_peft_model(loaded, _lora(settings), adapter_name=weights.ADAPTER)
    # A folder of this machine means nothing elsewhere; the digest beside the adapter says which base it is.
    model.peft_config[weights.ADAPTER].base_model_name_or_path = base.name
    if champion is not None:
        weights.apply(model, champion.folder)
    weights.trained(model)
    model.register_forward_pre_hook(_without_empty_pictures, with_kwargs=True)
    return model


def untrained(base: Path, folder: Path, settings: GrpoSettings) -> str:
    """Write an adapter that changes nothing yet (of each pair the second half is zero): a first release is made of it.

    Returns its digest. The base's weights are not loaded: their shapes are enough. Raises RunRefused.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForImageTextToText

    digest_of_base = base_digest(base)
    with torch.device("meta"):
        empty = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(base))
        model = get_peft_model(empty, _lora(settings), adapter_name=weights.ADAPTER)
    chance = torch.Generator().manual_seed(settings.seed)
    made = {}
    for key, shape in sorted(
        (key, each.shape) for key, each in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    ):
        bound = 0.0 if ".lora_B." in key else shape[1] ** -0.5  # as PEFT begins
        made[key] = (torch.rand(shape, generator=chance) * 2 - 1) * bound
    folder.mkdir(parents=True)
    save_file(made, folder / WEIGHTS_FILE, {"format": "pt"})
    config = model.peft_config[weights.ADAPTER]
    config.base_model_name_or_path, config.inference_mode = base.name, True
    config.save_pretrained(folder)
    return write_origin(folder, digest_of_base, None)


def save_adapter(model: Any, folder: Path) -> None:
    """The trained adapter alone, as PEFT writes it."""
    model.save_pretrained(folder, selected_adapters=[weights.ADAPTER], save_embedding_layers=False)


def write_origin(folder: Path, base: str, champion: Champion | None) -> str:
    """Say beside a saved adapter what it was made for and from. Returns its digest."""
    own = digest(folder / name for name in _FILES)
    write_json(folder / ORIGIN, {"base": base, "parent": champion.digest if champion else None, "adapter": own})
    return own


def _lora(settings: GrpoSettings) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=TARGETS, task_type="CAUSAL_LM"
    )


def _without_empty_pictures(_model: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A micro-batch that has only texts, of a rollout with pictures: TRL gives it no pixels, and the vision tower wants
    some or none at all."""
    pixels = kwargs.get("pixel_values")
    if pixels is not None and pixels.numel() == 0:
        kwargs = {key: value for key, value in kwargs.items() if key not in ("pixel_values", "image_grid_thw")}
    return args, kwargs


def _taking_rows_without_pictures(processor: Any) -> Any:
    """TRL marks a row without pictures by None, beside rows with some; Qwen2.5-VL's processor wants an empty list."""
    own = type(processor)

    def call(self: Any, images: Any = None, text: Any = None, **rest: Any) -> Any:
        if isinstance(images, list | tuple):
            images = [[] if each is None else each for each in images]
        return own.__call__(self, images=images, text=text, **rest)

    # The name stays: it is written into saved folders.
    processor.__class__ = type(own.__name__, (own,), {"__call__": call, "__module__": own.__module__})
    return processor
