"""A model's shape without its weights, for `--load-format dummy`: true speed, no sense in what it says.

The 7B shape is that of Qwen2.5-VL-7B-Instruct, from which ProGuard-7B was trained. The tokenizer is the one that tests
use: learned on our own prompts, so a prompt has about as many tokens as with Qwen's.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.guards.protocol import GuardLimits
from tests.support.tiny_vlm.corpus import corpus
from tests.support.tiny_vlm.tokenizer import END_OF_TEXT, END_OF_TURN, make_tokenizer, save_tokenizer


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the two towers, as Qwen2_5_VLConfig names them."""

    text: dict[str, Any]
    vision: dict[str, Any]
    rope_sections: tuple[int, int, int]


QWEN_7B = Shape(
    text={
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "max_window_layers": 28,
        "tie_word_embeddings": False,
    },
    vision={
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
    rope_sections=(16, 24, 24),
)
# The same towers and the same heads' width, small enough for two cores: proves the way, not the speed.
SMALL = Shape(
    text={
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 16384,
        "max_window_layers": 2,
        "tie_word_embeddings": False,
    },
    vision={
        "depth": 2,
        "hidden_size": 80,
        "intermediate_size": 160,
        "num_heads": 2,
        "out_hidden_size": 256,
        "fullatt_block_indexes": [1],
    },
    rope_sections=(16, 24, 24),
)
SHAPES = {"qwen2.5-vl-7b": QWEN_7B, "small": SMALL}
MAX_MODEL_LENGTH = 8192
_TEXT = {
    "model_type": "qwen2_5_vl_text",
    "max_position_embeddings": MAX_MODEL_LENGTH,
    "use_sliding_window": False,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
}
_VISION = {
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "tokens_per_second": 2,
    "in_channels": 3,
}
# Qwen2.5-VL's own, but for the largest picture, which is a guard's.
_PICTURES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "min_pixels": 56 * 56,
    "max_pixels": GuardLimits().max_pixels,
    "patch_size": _VISION["patch_size"],
    "temporal_patch_size": _VISION["temporal_patch_size"],
    "merge_size": _VISION["spatial_merge_size"],
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def write_shape(folder: Path, shape: Shape) -> Path:
    """A checkpoint's folder that lacks its weights."""
    from transformers import Qwen2_5_VLConfig

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(corpus())
    save_tokenizer(tokenizer, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_PICTURES))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": tokenizer.chat_template}))

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    rope = {"type": "mrope", "rope_type": "default", "mrope_section": list(shape.rope_sections), "rope_theta": 1e6}
    ends = {"bos_token_id": token(END_OF_TEXT), "eos_token_id": token(END_OF_TURN)}
    config = Qwen2_5_VLConfig(
        text_config={**_TEXT, "rope_parameters": rope, **ends, **shape.text},
        vision_config={**_VISION, **shape.vision},
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        vision_token_id=token("<|vision_pad|>"),
        tie_word_embeddings=shape.text["tie_word_embeddings"],
        dtype="bfloat16",
        architectures=["Qwen2_5_VLForConditionalGeneration"],
    )
    config.save_pretrained(folder)
    return folder
