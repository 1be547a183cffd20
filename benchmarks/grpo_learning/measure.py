"""What a checkpoint earns for held-out rows when it answers greedily, and what the best constant answer would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.evaluation.figures import FP, TN, confusion, recall
from proguard_core.evaluation.intervals import Interval, generator, of_counts, of_mean
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.training.descriptions import Descriptions
from proguard_core.training.reward import rewards
from proguard_core.training.strict_answers import NO_CATEGORY_WORD, read_exactly
from proguard_core.training.truth import Truth
from schemas.common import Outcome
from tests.support.tiny_vlm.rows import answer

Floats = NDArray[np.float64]
_BATCH = 128


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one modality. earned: r_request + r_category; constant: the same of the best constant answer, which is said.

    right: share of rows with the right category (None for safe ones). within: balanced accuracy on the rows of the one
    source that has safe and unsafe ones; where it is lower, a source's style gave labels away.
    """

    rows: int
    form: float
    earned: Interval
    constant: float
    constant_answer: str
    balanced: Interval
    within: Interval
    right: float


def answers(base: Path, adapter: Path | None, table: Any, most: int) -> list[str]:
    """Greedy answers to a TRL table's rows, in their order, by the trainer's own processor."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    from proguard_core.training.grpo.model import load_processor
    from proguard_core.training.grpo.settings import GrpoSettings

    processor = load_processor(base, GrpoSettings())
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    said: list[str] = []
    for begin in range(0, len(table), _BATCH):
        rows = [table[at] for at in range(begin, min(begin + _BATCH, len(table)))]
        inputs = processor(
            text=[_chat(row, processor) for row in rows],
            images=[row["images"] for row in rows] if any(row["images"] for row in rows) else None,
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=most, do_sample=False)
        said += processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def measured(
    said: Sequence[str], truths: Sequence[Truth], both: Sequence[bool], policy: Policy, known: Descriptions
) -> Measured:
    """Answers to rows of one kind. both: whether a row is of the source that has safe and unsafe ones."""
    scores = rewards(said, truths, policy, known)
    earned = scores.form * (scores.request + scores.category)
    constant, text = _best_constant(truths, policy, known)
    is_unsafe = np.array([truth.request is Outcome.UNSAFE for truth in truths])
    read = [read_exactly(each, truth.kind) for each, truth in zip(said, truths, strict=True)]
    # What cannot be read is wrong, whatever the row.
    called = [
        not unsafe if each is None else each.request is Outcome.UNSAFE
        for each, unsafe in zip(read, is_unsafe, strict=True)
    ]
    predicted, inside = np.array(called), np.array(both)
    counts = confusion(is_unsafe, predicted)
    counts_inside = confusion(is_unsafe[inside], predicted[inside])
    kind = truths[0].kind.value
    return Measured(
        rows=len(truths),
        form=float(scores.form.mean()),
        earned=of_mean(earned, generator("earned", kind)),
        constant=constant,
        constant_answer=text,
        balanced=of_counts(balanced_accuracy, counts, generator("balanced", kind)),
        within=of_counts(balanced_accuracy, counts_inside, generator("within", kind)),
        right=float((scores.form * (scores.category == 1)).mean()),
    )


def balanced_accuracy(counts: Floats) -> Floats:
    """Mean of the shares found among unsafe and among safe rows."""
    negatives = counts[..., FP] + counts[..., TN]
    specific = np.divide(counts[..., TN], negatives, out=np.zeros_like(negatives), where=negatives > 0)
    return np.asarray((recall(counts) + specific) / 2)


def _best_constant(truths: Sequence[Truth], policy: Policy, known: Descriptions) -> tuple[float, str]:
    """The highest mean of r_request + r_category that one and the same answer to all rows has, and that answer."""
    found: list[tuple[float, str]] = []
    for text in _constants(truths[0]):
        scores = rewards([text] * len(truths), truths, policy, known)
        found.append((float((scores.form * (scores.request + scores.category)).mean()), text))
    return max(found)


def _constants(truth: Truth) -> Iterator[str]:
    """Every well-formed answer: all labels with every category that fits them."""
    responses = (None,) if truth.kind is PromptKind.IMAGE else ("safe", "unsafe")
    for request in ("safe", "unsafe"):
        for response in responses:
            is_safe = "unsafe" not in (request, response)
            for category in (NO_CATEGORY_WORD,) if is_safe else truth.listed:
                yield answer("word", category, request, response)


def _chat(row: dict[str, Any], processor: Any) -> str:
    content = [*[{"type": "image"} for _ in row["images"]], {"type": "text", "text": row["prompt"][-1]["content"]}]
    turns = [*row["prompt"][:-1], {"role": "user", "content": content}]
    chat: str = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return chat
