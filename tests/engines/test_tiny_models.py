"""The tiny models are what engines expect: complete, small, and the same each time they are made."""

import hashlib
from pathlib import Path

from PIL import Image

from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.contract import PromptKind

MAX_PARAMETERS = 2_000_000
MAX_POLICY_TOKENS = 1800


def test_transformers_loads_the_random_model_and_it_reads_pictures(tiny_random_model: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny_random_model)
    model = AutoModelForImageTextToText.from_pretrained(tiny_random_model)
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert sum(weights.numel() for weights in model.parameters()) < MAX_PARAMETERS
    content = [{"type": "image"}, {"type": "text", "text": "Judge this picture."}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[chat], images=[Image.new("RGB", (84, 56))], return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    generated = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert length < generated.shape[1] <= length + 4


def test_the_prompts_leave_room_for_a_post_and_a_picture(tiny_random_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_random_model)
    prompts = Prompts(load_policy())
    lengths = {kind: len(tokenizer(prompts.system(kind))["input_ids"]) for kind in PromptKind}
    assert max(lengths.values()) < MAX_POLICY_TOKENS


def test_it_is_the_same_model_each_time(tiny_random_model: Path, tmp_path: Path) -> None:
    from tests.support.tiny_vlm.builder import build_random_model

    build_random_model(tmp_path)
    assert _digests(tmp_path) == _digests(tiny_random_model)


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
