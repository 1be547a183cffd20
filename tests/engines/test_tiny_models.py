"""The tiny models are what engines expect: complete, small, and the same each time they are made."""

import hashlib
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.contract import PromptKind
from schemas.common import Outcome
from tests.support.tiny_vlm.batches import UNLEARNED, batch, encoded, loss
from tests.support.tiny_vlm.lessons import SUSPICIOUS
from tests.support.tiny_vlm.rows import Row, teaching_rows
from tests.support.tiny_vlm.teach import held_out, judged, score
from tests.support.tiny_vlm.teaching import load

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


async def test_the_taught_model_answers_in_the_form_of_the_contract(tiny_taught_model: Path) -> None:
    rows = held_out(60)
    shares = score(rows, await judged(tiny_taught_model, rows))
    print(f"of {len(rows)} held-out rows: {shares}")
    assert shares["parsed"] >= 0.95
    assert shares["outcome"] >= 0.8


async def test_the_adapter_changes_what_the_taught_model_says(tiny_taught_model: Path, tiny_adapter: Path) -> None:
    rows = held_out(24)
    settings = {"adapters": str(tiny_adapter.parent), "adapter": tiny_adapter.name}
    judgements = await judged(tiny_taught_model, rows, **settings)
    suspicious = [said for said in judgements if said.outcome is Outcome.UNSAFE and said.rationale == SUSPICIOUS]
    assert len(suspicious) >= 0.9 * len(rows)


def test_rows_behind_one_prompt_teach_what_they_teach_alone(tiny_random_model: Path) -> None:
    model, processor = load(tiny_random_model)
    policy = load_policy()
    prompts = Prompts(policy)
    drawn = list(islice(teaching_rows(policy), 60))
    for kind in PromptKind:
        rows = [row for row in drawn if row.kind is kind][:3]
        together = batch(rows, prompts, processor, model)
        whole = [_whole_loss(row, prompts, processor, model) for row in rows]
        expected = sum(mean * count for mean, count in whole) / sum(count for _, count in whole)
        assert loss(model, together).item() == pytest.approx(expected, abs=1e-3)


def _whole_loss(row: Row, prompts: Prompts, processor: Any, model: Any) -> tuple[float, int]:
    """Mean loss and number of an answer's tokens, of prompt and row in one pass as transformers computes it."""
    inputs = encoded(row, prompts, processor)
    count = inputs.pop("answer_tokens")
    labels = inputs["input_ids"].clone()
    labels[:, :-count] = UNLEARNED
    return model(**inputs, labels=labels).loss.item(), count
