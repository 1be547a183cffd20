"""The form of answers, and nothing of what is right: labels and categories are drawn at random.

The reasoning is always the same word: answers learn from labels alone then. The post is learned a little as text, so
that the model reads; which words are harmful nobody tells it. Where the conversation has no answer, Response is safe:
that an empty turn is safe is a rule of the form, and no figure of the benchmark counts it.
"""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.dataset.samples import Sample
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.training.strict_answers import NO_CATEGORY_WORD
from schemas.common import Modality
from tests.support.tiny_vlm.rows import answer
from tests.support.tiny_vlm.tokenizer import END_OF_TURN

log = logging.getLogger(__name__)

THOUGHT = "Read."


@dataclass(frozen=True, slots=True)
class Lesson:
    """Steps of `rows` rows each, all of one modality. post: weight of the post's own words beside the answer's."""

    steps: int = 150
    rows: int = 32
    post: float = 0.1
    learning_rate: float = 3e-3
    warm_up: int = 20


AGAIN = Lesson(steps=60, learning_rate=1e-3, warm_up=5)
"""For a model that does not have the form yet."""


def random_answer(sample: Sample, seed: object) -> str:
    """An answer in the form of the contract that tells nothing of the row's labels."""
    chance = random.Random(f"answer {seed} {sample.item.row.id}")
    kind = sample.truth.kind
    request = chance.choice(("safe", "unsafe"))
    response = None if kind is PromptKind.IMAGE else "safe"
    category = NO_CATEGORY_WORD if request == "safe" else chance.choice(sample.truth.listed)
    return answer(THOUGHT, category, request, response)


def warm_up(base: Path, samples: Sequence[Sample], lesson: Lesson, seed: int) -> None:
    """Teach the checkpoint in place; all its weights learn."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(base, padding_side="right")
    torch.manual_seed(seed)
    chance = random.Random(f"warm-up {seed}")
    of = {m: [s for s in samples if s.item.modality is m] for m in Modality}
    present = [m for m in Modality if of[m]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lesson.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, lesson))
    model.train()
    began = time.monotonic()
    for step in range(lesson.steps):
        drawn = chance.choices(of[present[step % len(present)]], k=lesson.rows)
        inputs = _inputs([(each, random_answer(each, (seed, step))) for each in drawn], processor)
        loss = _loss(model, inputs, lesson.post)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 30 < len(present) or step == lesson.steps - 1:
            name = present[step % len(present)].value
            log.info("warm-up %d: %s loss %.3f, %.0f s", step, name, loss.item(), time.monotonic() - began)
    model.save_pretrained(base)


def _loss(model: Any, inputs: dict[str, Any], post: float) -> Any:
    """Cross entropy of the answers' tokens, and of the prompts' by its weight; pictures have no tokens to predict."""
    import torch

    answers, words = inputs.pop("answers")[:, 1:], inputs.pop("words")[:, 1:]
    hidden = model.model(**inputs).last_hidden_state[:, :-1]
    targets = inputs["input_ids"][:, 1:]
    parts = []
    for where in (answers, words):
        logits = model.lm_head(hidden[where])
        parts.append(torch.nn.functional.cross_entropy(logits, targets[where]))
    return parts[0] + post * parts[1]


def _inputs(rows: Sequence[tuple[Sample, str]], processor: Any) -> dict[str, Any]:
    """A batch, and where in it the answers' and the prompts' tokens are (rows, length)."""
    import torch
    from PIL import Image

    chats, images, sizes = [], [], []
    for sample, said in rows:
        prompt = sample.prompt()
        content: list[dict[str, str]] = [{"type": "text", "text": prompt.user}]
        if sample.picture is not None:
            content.insert(0, {"type": "image"})
            with Image.open(sample.picture) as opened:
                images.append([opened.convert("RGB")])
        turns = [{"role": "system", "content": prompt.system}, {"role": "user", "content": content}]
        asked = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        chats.append(f"{asked}{said}{END_OF_TURN}")
        sizes.append(len(processor.tokenizer(f"{said}{END_OF_TURN}")["input_ids"]))
    inputs = dict(processor(text=chats, images=images or None, padding=True, return_tensors="pt"))
    ends = inputs["attention_mask"].sum(dim=1, keepdim=True)
    at = torch.arange(inputs["input_ids"].shape[1])[None]
    begins = ends - torch.tensor(sizes)[:, None]
    inputs["answers"] = (at >= begins) & (at < ends)
    inputs["words"] = (at < begins) & (inputs["input_ids"] != processor.image_token_id)
    return inputs


def _rate(step: int, lesson: Lesson) -> float:
    if step < lesson.warm_up:
        return (step + 1) / lesson.warm_up
    return max(0.05, 1 - (step - lesson.warm_up) / (lesson.steps - lesson.warm_up))
