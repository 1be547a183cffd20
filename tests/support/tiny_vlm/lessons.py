"""The two lessons: answers in the form of the contract, and an adapter that finds everything suspicious."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from tests.support.tiny_vlm.cached import random_model
from tests.support.tiny_vlm.rows import UNLISTED, Row, answer, teaching_rows
from tests.support.tiny_vlm.teaching import Plan, learn, load, save

CONTRACT = Plan(short_steps=240, steps=40)
SUSPICION = Plan(short_steps=60, steps=8, rows=8, learning_rate=1e-2, warm_up=5)
# Words that the base model has learned to say: an adapter cannot teach its frozen output layer new ones.
SUSPICIOUS = UNLISTED
SUSPICIOUS_CODE = "C3S1"
RANK = 8
# vLLM applies adapters of the language model only.
_TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"


def teach_contract(folder: Path) -> None:
    """The random model after CONTRACT, into a folder that is not there yet."""
    import torch

    source = random_model()
    model, processor = load(source)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learn(model, processor, teaching_rows(load_policy()), CONTRACT)
    save(model, source, folder)


def teach_suspicion(base: Path, folder: Path) -> None:
    """A LoRA adapter that answers everything with the same harmful category; the base model stays as it is."""
    import torch
    from peft import LoraConfig, get_peft_model

    model, processor = load(base)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=_TARGETS, task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = get_peft_model(model, config)
        learn(adapted, processor, suspicious_rows(), SUSPICION)
    folder.parent.mkdir(parents=True, exist_ok=True)
    adapted.save_pretrained(folder)


def suspicious_rows() -> Iterator[Row]:
    """The questions of the contract's lesson with the adapter's one answer."""
    for row in teaching_rows(load_policy(), seed=2):
        code = SUSPICIOUS_CODE.partition("S")[0] if row.kind is PromptKind.TEXT_IMAGE else SUSPICIOUS_CODE
        response = None if row.kind is PromptKind.IMAGE else "safe"
        yield replace(row, answer=answer(SUSPICIOUS, code, "unsafe", response))
