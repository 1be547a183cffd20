"""The learning loop: AdamW, linear schedule, batches of like length, smoothed labels, bfloat16 where it is fast."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from proguard_core.guards.embedded.text_model import FIRST_CATEGORY, REQUEST, RESPONSE
from proguard_core.training.embedded.network import GuardNetwork
from proguard_core.training.embedded.rows import Example
from proguard_core.training.embedded.tokens import Encoded, pad

NO_CATEGORY = -100
BATCHES_SORTED_TOGETHER = 50
WARM_UP_STEPS = 150
SAVE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Recipe:
    """steps of batch rows; smoothing: labels become smoothing and 1 - smoothing; max_minutes ends the run early, with
    the learning rate brought down in time (a run that was not cut is repeatable from its seed). frozen_layers: that
    many lower layers and the embeddings are not taught, which makes short comparisons a third cheaper. focus: the
    exponent of the focal loss (Lin et al. 2017) of the labels; 0 is cross entropy. decay: the last share of the run in
    which the learning rate falls to zero; before it the rate stands, for runs whose number of steps nobody knows."""

    steps: int = 2100
    batch: int = 32
    length: int = 160
    encoder_rate: float = 4e-5
    head_rate: float = 5e-4
    smoothing: float = 0.05
    focus: float = 0.0
    frozen_layers: int = 0
    decay: float = 1.0
    category_weight: float = 0.4
    seed: int = 7
    threads: int = 2
    max_minutes: float = 45.0


def batches(encoded: list[Encoded], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row numbers; rows of like length meet, batches come in random order."""
    chooser = random.Random(seed)
    span = size * BATCHES_SORTED_TOGETHER
    while True:
        order = list(range(len(encoded)))
        chooser.shuffle(order)
        chunks = [
            sorted(order[at : at + span], key=lambda row: len(encoded[row].ids)) for at in range(0, len(order), span)
        ]
        made = [chunk[at : at + size] for chunk in chunks for at in range(0, len(chunk), size)]
        chooser.shuffle(made)
        yield from made


def loss_of(logits: Tensor, rows: list[Example], recipe: Recipe) -> Tensor:
    """Cross entropy of the labels that the rows have, plus category_weight times that of their categories."""
    labelled = [index for index, row in enumerate(rows) if row.unsafe is not None]
    total = logits.sum() * 0.0
    if labelled:
        heads = torch.tensor([REQUEST if rows[index].response is None else RESPONSE for index in labelled])
        wanted = torch.tensor([float(bool(rows[index].unsafe)) for index in labelled])
        smoothed = wanted * (1 - 2 * recipe.smoothing) + recipe.smoothing
        chosen = logits[torch.tensor(labelled), heads]
        losses = nn.functional.binary_cross_entropy_with_logits(chosen, smoothed, reduction="none")
        missed = (torch.sigmoid(chosen.detach()) - wanted).abs()
        total = total + (losses * missed**recipe.focus).mean()
    categories = torch.tensor([NO_CATEGORY if row.category is None else row.category for row in rows])
    if bool((categories != NO_CATEGORY).any()):
        total = total + recipe.category_weight * nn.functional.cross_entropy(
            logits[:, FIRST_CATEGORY:], categories, ignore_index=NO_CATEGORY, label_smoothing=recipe.smoothing
        )
    return total


def freeze(network: GuardNetwork, layers: int) -> None:
    """Leave the embeddings and that many lower layers as they are; 0 teaches everything."""
    if layers:
        for part in (network.encoder.embeddings, *network.encoder.encoder.layer[:layers]):
            part.requires_grad_(False)


def learn(network: GuardNetwork, rows: list[Example], encoded: list[Encoded], recipe: Recipe, keep: Path) -> int:
    """Teach in place; returns the steps done. Weights are kept at `keep` every SAVE_EVERY steps and at the end."""
    freeze(network, recipe.frozen_layers)
    taught = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": taught, "lr": recipe.encoder_rate, "top": recipe.encoder_rate},
            {"params": network.heads.parameters(), "lr": recipe.head_rate, "top": recipe.head_rate},
        ],
        weight_decay=0.01,
    )
    network.train()
    begun, running, step = time.monotonic(), 0.0, 0
    warm_up = min(WARM_UP_STEPS, max(1, recipe.steps // 10))
    for step, batch in enumerate(batches(encoded, recipe.batch, recipe.seed)):
        minutes = (time.monotonic() - begun) / 60
        left = 1.0 - max(step / recipe.steps, minutes / recipe.max_minutes)
        if left <= 0:
            break
        for group in optimizer.param_groups:
            group["lr"] = group["top"] * min((step + 1) / warm_up, left / recipe.decay, 1.0)
        loss = _step(network, optimizer, [rows[row] for row in batch], [encoded[row] for row in batch], recipe)
        running = loss if step == 0 else 0.98 * running + 0.02 * loss
        if step % 25 == 0:
            print(f"step {step}/{recipe.steps}  loss {running:.4f}  {minutes:.1f} min", flush=True)
        if step % SAVE_EVERY == SAVE_EVERY - 1:
            torch.save(network.state_dict(), keep)
    torch.save(network.state_dict(), keep)
    return step


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; without that autocast takes twenty times as long as fp32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("sve_bf16"))


def _step(
    network: GuardNetwork, optimizer: torch.optim.Optimizer, rows: list[Example], encoded: list[Encoded], recipe: Recipe
) -> float:
    inputs = {name: torch.from_numpy(array) for name, array in pad(encoded).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_has_bfloat16()):
        logits = network(**inputs)
    loss = loss_of(logits.float(), rows, recipe)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.item())
