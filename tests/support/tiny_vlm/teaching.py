"""Supervised steps that teach a tiny model, or an adapter on it, to answer in the form of the contract."""

import itertools
import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proguard_core.guards.protocol import GuardRequest
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompt, Prompts
from tests.support.tiny_vlm.batches import Batch, batch, loss
from tests.support.tiny_vlm.rows import Row

log = logging.getLogger(__name__)

SHORT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast. rows: of one kind, behind one prompt, in each step.

    short_steps: before the others, behind the end of the prompt only, which takes a tenth of the time.
    """

    short_steps: int
    steps: int
    rows: int = 12
    learning_rate: float = 6e-3
    warm_up: int = 20

    @property
    def all_steps(self) -> int:
        """Of both kinds."""
        return self.short_steps + self.steps


class EndOfPrompts(Prompts):
    """Only the form of an answer is left of what the model is told."""

    def system(self, kind: PromptKind) -> str:
        """The last lines."""
        return super().system(kind)[-SHORT_CHARACTERS:]

    def render(self, request: GuardRequest) -> Prompt:
        """The same question."""
        prompt = super().render(request)
        return replace(prompt, system=self.system(prompt.kind))


def learn(model: Any, processor: Any, rows: Iterator[Row], plan: Plan) -> None:
    """Change whatever parameters of the model require a gradient. Weights are float32; CPU only."""
    import torch

    policy = load_policy()
    short = _batches(rows, plan.rows, EndOfPrompts(policy), processor, model)
    whole = _batches(rows, plan.rows, Prompts(policy), processor, model)
    batches = itertools.chain(itertools.islice(short, plan.short_steps), itertools.islice(whole, plan.steps))
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan))
    began = time.monotonic()
    # Steps are small: on a busy machine, threads that wait for one another take ten times as long as one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model.train()
    for step, taught in enumerate(batches, 1):
        value = loss(_bare(model), taught)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == plan.all_steps:
            log.info("step %d of %d: loss %.4f, %.0f s", step, plan.all_steps, value.item(), time.monotonic() - began)
    model.eval()
    torch.set_num_threads(threads)


def save(model: Any, source: Path, folder: Path) -> None:
    """The model in bfloat16, with everything else as in source."""
    import torch

    shutil.copytree(source, folder)
    model.to(torch.bfloat16).save_pretrained(folder)


def load(folder: Path) -> tuple[Any, Any]:
    """Model in float32 and processor."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model, AutoProcessor.from_pretrained(folder)


def _rate(step: int, plan: Plan) -> float:
    """Up in a line, down in half a cosine to a twentieth."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.all_steps - plan.warm_up)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2


def _batches(rows: Iterator[Row], size: int, prompts: Prompts, processor: Any, model: Any) -> Iterator[Batch]:
    """Batches of one kind each, as soon as there are enough rows of it."""
    waiting: dict[PromptKind, list[Row]] = {kind: [] for kind in PromptKind}
    for row in rows:
        waiting[row.kind].append(row)
        if len(waiting[row.kind]) == size:
            yield batch(waiting[row.kind], prompts, processor, _bare(model))
            waiting[row.kind] = []


def _bare(model: Any) -> Any:
    """Without PEFT's wrapper; the adapter's layers stay inside."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
