"""The random checkpoint: Qwen2.5-VL's architecture with two layers of 128, under a million and a half parameters."""

import json
from pathlib import Path
from typing import Any

from tests.support.tiny_vlm.corpus import corpus
from tests.support.tiny_vlm.tokenizer import END_OF_TEXT, END_OF_TURN, make_tokenizer, save_tokenizer

MAX_MODEL_LENGTH = 4096
HIDDEN = 128
# What guards allow a picture by default: 1,280 tokens.
MAX_PIXELS = 1_003_520
_TEXT = {
    "model_type": "qwen2_5_vl_text",
    "hidden_size": HIDDEN,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": MAX_MODEL_LENGTH,
    "max_window_layers": 2,
    "use_sliding_window": False,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "rope_theta": 1e6,
    "rope_parameters": {"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 1e6},
}
_VISION = {
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 2,
    "out_hidden_size": HIDDEN,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [1],
    "tokens_per_second": 2,
    "in_channels": 3,
}
_IMAGE_PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
    "min_pixels": 3136,
    "max_pixels": MAX_PIXELS,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def build_random_model(folder: Path, seed: int = 0) -> None:
    """Write a checkpoint with random weights that vLLM and transformers load; the same bytes for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(corpus())
    save_tokenizer(tokenizer, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_IMAGE_PROCESSOR, indent=1))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": tokenizer.chat_template}))
    _random_model(tokenizer, seed).save_pretrained(folder)


def _random_model(tokenizer: Any, seed: int) -> Any:
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    # Engines like a vocabulary that splits evenly.
    vocabulary = (len(tokenizer) + 63) // 64 * 64
    ends = {"bos_token_id": token(END_OF_TEXT), "eos_token_id": token(END_OF_TURN)}
    config = Qwen2_5_VLConfig(
        text_config={**_TEXT, "vocab_size": vocabulary, **ends},
        vision_config=_VISION,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        vision_token_id=token("<|vision_pad|>"),
        tie_word_embeddings=True,
        dtype="bfloat16",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = [token(END_OF_TURN), token(END_OF_TEXT)]
    model.generation_config.pad_token_id = token(END_OF_TEXT)
    return model
