"""The checkpoint: Qwen2.5-VL's architecture, two layers of 128, a vocabulary of these rows' own words."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.tiny_vlm.tokenizer import END_OF_TEXT, END_OF_TURN, make_tokenizer, save_tokenizer

HIDDEN = 128
LAYERS = 2
_TEXT = {
    "model_type": "qwen2_5_vl_text",
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "max_window_layers": LAYERS,
    "use_sliding_window": False,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "rope_theta": 1e4,
    "rope_parameters": {"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 1e4},
}
_VISION = {
    "depth": 1,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_heads": 4,
    "out_hidden_size": HIDDEN,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [0],
    "tokens_per_second": 2,
    "in_channels": 3,
}
_IMAGE_PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "min_pixels": 3136,
    "max_pixels": 200704,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def build(texts: Iterable[str], folder: Path, seed: int) -> None:
    """Write a checkpoint with random weights. texts: from which the tokenizer learns."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(texts)
    save_tokenizer(tokenizer, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_IMAGE_PROCESSOR, indent=1))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": tokenizer.chat_template}))

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    ends = {"bos_token_id": token(END_OF_TEXT), "eos_token_id": token(END_OF_TURN)}
    config = Qwen2_5_VLConfig(
        text_config={**_TEXT, "vocab_size": (len(tokenizer) + 63) // 64 * 64, **ends},
        vision_config=_VISION,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        vision_token_id=token("<|vision_pad|>"),
        tie_word_embeddings=True,
        dtype="float32",
    )
    torch.manual_seed(seed)
    model: Any = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [token(END_OF_TURN), token(END_OF_TEXT)]
    model.generation_config.pad_token_id = token(END_OF_TEXT)
    model.save_pretrained(folder)
