"""Rows of one kind behind one prompt: the policy, which is ten times as long as a post, is read once for all of them.

Its keys and values are what every row sees first, at the positions that it would have alone: the loss is that of single
rows (a test compares them). No gradient goes through the prompt: what an answer depends on stands in the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proguard_core.policy.prompts.renderer import Prompts
from tests.support.tiny_vlm.rows import Row
from tests.support.tiny_vlm.tokenizer import END_OF_TURN

UNLEARNED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """prompt: token ids (1, prompt). inputs: the rows behind it, filled up on the right; targets: (rows, row)."""

    prompt: Any
    inputs: dict[str, Any]
    targets: Any


def batch(rows: Sequence[Row], prompts: Prompts, processor: Any, model: Any) -> Batch:
    """rows of one kind, at least one. Tensors are on the CPU."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    alone = [encoded(row, prompts, processor) for row in rows]
    prompt = _tokens(f"<|im_start|>system\n{prompts.system(rows[0].kind)}", processor)
    begin = len(prompt)
    ids = pad_sequence([inputs["input_ids"][0, begin:] for inputs in alone], batch_first=True)
    places = pad_sequence([_positions(inputs, model)[:, 0, begin:].T for inputs in alone], batch_first=True)
    sizes = torch.tensor([inputs["input_ids"].shape[1] - begin for inputs in alone])
    learned = torch.tensor([inputs["answer_tokens"] for inputs in alone])
    at = torch.arange(ids.shape[1])[None]
    is_there = at < sizes[:, None]
    is_answer = is_there & (at >= (sizes - learned)[:, None])
    inputs = {
        "input_ids": ids,
        "position_ids": places.permute(2, 0, 1),
        "attention_mask": torch.cat([torch.ones(len(alone), begin, dtype=torch.long), is_there.long()], dim=1),
    }
    for name in ("pixel_values", "image_grid_thw"):
        if found := [one[name] for one in alone if name in one]:
            inputs[name] = torch.cat(found)
    return Batch(torch.tensor([prompt]), inputs, ids.masked_fill(~is_answer, UNLEARNED))


def loss(model: Any, of: Batch) -> Any:
    """Mean cross entropy of the answers' tokens; no logits are made of anything else."""
    import torch
    from transformers import DynamicCache

    with torch.no_grad():
        cache = DynamicCache(config=model.config.get_text_config())
        model.model(input_ids=of.prompt, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(of.targets))
    hidden = model.model(**of.inputs, past_key_values=cache, use_cache=True).last_hidden_state[:, :-1]
    targets = of.targets[:, 1:]
    learned = targets != UNLEARNED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learned]).float(), targets[learned])


def encoded(row: Row, prompts: Prompts, processor: Any) -> dict[str, Any]:
    """Inputs of question and answer in one row, as a batch of one, and `answer_tokens`, the number of the last ones."""
    prompt = prompts.render(row.request)
    picture = row.request.picture
    content: list[dict[str, str]] = [{"type": "text", "text": prompt.user}]
    if picture is not None:
        content.insert(0, {"type": "image"})
    turns = [{"role": "system", "content": prompt.system}, {"role": "user", "content": content}]
    asked = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    images = None if picture is None else [picture.image]
    inputs = dict(processor(text=[f"{asked}{row.answer}{END_OF_TURN}"], images=images, return_tensors="pt"))
    # The turn before ends with a newline, at which the tokenizer always splits.
    inputs["answer_tokens"] = len(_tokens(f"{row.answer}{END_OF_TURN}", processor))
    return inputs


def _tokens(text: str, processor: Any) -> list[int]:
    tokens: list[int] = processor.tokenizer(text)["input_ids"]
    return tokens


def _positions(inputs: dict[str, Any], model: Any) -> Any:
    """(3, 1, length): time, height and width."""
    import torch

    if "image_grid_thw" in inputs:
        return model.model.get_rope_index(
            inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"]
        )[0]
    return torch.arange(inputs["input_ids"].shape[1]).view(1, 1, -1).expand(3, 1, -1)
