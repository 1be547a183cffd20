"""Qwen2.5-VL by transformers: from prompts to inputs to greedy answers. Everything here blocks, and has one caller.

Torch and transformers are imported when a model is loaded, not before.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

from proguard_core.guards.adapters import WEIGHTS_FILE, Adapter
from proguard_core.guards.asking import Answer, Question, Refused
from proguard_core.guards.protocol import GuardDied, GuardError, Picture
from proguard_core.guards.transformers.settings import ModelSettings
from schemas.common import Reason

Inputs = dict[str, Any]
# Of one row each; the others (pixels and their grids) are one after the other.
_BY_ROW = ("input_ids", "attention_mask", "mm_token_type_ids")


class Late(GuardError, TimeoutError):
    """A generation took longer than request_timeout_s and was stopped."""


class Model:
    """One loaded model with its adapters. Raises GuardError where it cannot be loaded."""

    def __init__(self, settings: ModelSettings) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._settings = settings
        self._device = settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        dtype = settings.dtype
        if dtype == "auto":
            dtype = "bfloat16" if self._device.startswith("cuda") else "float32"
        try:
            self._processor = AutoProcessor.from_pretrained(settings.model)
            loaded = AutoModelForImageTextToText.from_pretrained(settings.model, dtype=getattr(torch, dtype))
            self._model = loaded.to(self._device).eval()
        except Exception as error:  # hub, files, memory, device: there is no common class
            raise GuardError(f"transformers cannot load {settings.model!r}: {error}") from error
        self._processor.image_processor.size["longest_edge"] = settings.max_pixels
        self._wrapped: Any = None  # by PEFT, once there is an adapter
        # A checkpoint's own temperature and penalties are for chats.
        self._model.generation_config = _greedy(self._model.generation_config)

    @property
    def layers(self) -> int:
        """Layers of the language model, which adapters may change."""
        return int(self._model.config.get_text_config().num_hidden_layers)

    @property
    def max_length(self) -> int:
        """Tokens of a question and its answer."""
        return int(self._model.config.get_text_config().max_position_embeddings)

    def prepare(self, question: Question[Picture]) -> Inputs:
        """Inputs of one question, as a batch of one. Raises Refused."""
        prompt, picture = question.prompt, question.picture
        text = {"type": "text", "text": prompt.user}
        content = [text] if picture is None else [{"type": "image"}, text]
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        turns = [*system, {"role": "user", "content": content}]
        try:
            chat = self._processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            images = None if picture is None else [picture.image]
            inputs = dict(self._processor(text=[chat], images=images, return_tensors="pt"))
        except ValueError as error:  # such as a picture 300 times as wide as high
            reason = Reason.GUARD_FAILED if picture is None else Reason.IMAGE_UNREADABLE
            raise Refused("it cannot take the prompt", reason, str(error)) from error
        size = inputs["input_ids"].shape[1]
        if size + question.output_cap > self.max_length:
            why = f"{size} tokens and {question.output_cap} for the answer are too many for it"
            raise Refused(why, Reason.NOT_JUDGEABLE, f"it takes {self.max_length}")
        return inputs

    def generate(
        self, batch: Sequence[Inputs], output_cap: int, adapter: Adapter | None, given_up: threading.Event
    ) -> list[Answer]:
        """Greedy answers to questions that are all with or all without a picture; given_up stops at the next token.

        Raises Late after request_timeout_s, GuardError, GuardDied.
        """
        import torch

        deadline = time.monotonic() + self._settings.request_timeout_s
        inputs = {name: tensor.to(self._device) for name, tensor in _padded(batch, self._pad_token).items()}

        def stop(ids: Any, _scores: Any, **_: Any) -> Any:
            over = given_up.is_set() or time.monotonic() > deadline
            return torch.full((ids.shape[0],), over, dtype=torch.bool, device=ids.device)

        try:
            self._use(adapter)
            with torch.inference_mode():
                generated = self._model.generate(**inputs, max_new_tokens=output_cap, stopping_criteria=[stop])
        except torch.OutOfMemoryError as error:
            raise GuardError(f"there is not enough memory for a batch of {len(batch)}") from error
        except torch.AcceleratorError as error:
            raise GuardDied("the device failed, the model has to be loaded anew") from error
        if given_up.is_set() or time.monotonic() > deadline:
            raise Late(f"no answer in {self._settings.request_timeout_s:g} s")
        prompt = inputs["input_ids"].shape[1]
        sizes = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._answer(row[prompt:].tolist(), int(size)) for row, size in zip(generated, sizes, strict=True)]

    def load(self, adapter: Adapter) -> None:
        """Load an adapter beside the others. Raises GuardError; what was there stays."""
        from peft import PeftConfig, PeftModel

        name, first = _peft_name(adapter), self._wrapped is None
        try:
            if self._wrapped is None:
                config = PeftConfig.from_pretrained(str(adapter.path))
                config.inference_mode = True
                self._wrapped = PeftModel(self._model, config, adapter_name=name)
                self._wrapped.load_adapter(str(adapter.path), adapter_name=name)
            elif name not in self._wrapped.peft_config:
                self._wrapped.load_adapter(str(adapter.path), adapter_name=name)
            self._check_applied(adapter, name)
        except Exception as error:  # a broken file, other shapes: PEFT has many words for it
            if self._wrapped is not None and first:
                self._model, self._wrapped = self._wrapped.unload(), None
            elif self._wrapped is not None and name in self._wrapped.peft_config:
                self._wrapped.delete_adapter(name)
            raise GuardError(f"the adapter {adapter.name!r} cannot be loaded: {error}") from error

    def _check_applied(self, adapter: Adapter, name: str) -> None:
        """PEFT leaves out what it does not know, and begins anew what is missing. Raises ValueError."""
        import torch
        from peft import get_peft_model_state_dict
        from safetensors.torch import load_file

        wanted = load_file(adapter.path / WEIGHTS_FILE)
        own = get_peft_model_state_dict(self._wrapped, adapter_name=name)
        if odd := sorted(set(own) ^ set(wanted)):
            raise ValueError(f"{len(odd)} of its weights and of the model's differ, such as {odd[0]}")
        changed = [key for key, value in wanted.items() if not torch.equal(own[key].cpu(), value.to(own[key].dtype))]
        if changed:
            raise ValueError(f"{len(changed)} of its weights were not applied, {changed[0]} among them")

    def drop(self, adapter: Adapter) -> None:
        """Free an adapter that nothing asks for any more."""
        if self._wrapped is not None and (name := _peft_name(adapter)) in self._wrapped.peft_config:
            self._wrapped.delete_adapter(name)

    def _use(self, adapter: Adapter | None) -> None:
        if self._wrapped is None:
            return
        if adapter is None:
            self._wrapped.base_model.disable_adapter_layers()
        else:
            self._wrapped.base_model.enable_adapter_layers()
            self._wrapped.set_adapter(_peft_name(adapter))

    @property
    def _pad_token(self) -> int:
        return int(self._model.generation_config.pad_token_id)

    def _answer(self, tokens: list[int], prompt_tokens: int) -> Answer:
        ends = set(self._model.generation_config.eos_token_id)
        size = next((at for at, token in enumerate(tokens) if token in ends), None)
        said = self._processor.tokenizer.decode(tokens[:size], skip_special_tokens=True)
        completion = len(tokens) if size is None else size + 1
        return Answer(said, truncated=size is None, prompt_tokens=prompt_tokens, completion_tokens=completion)


def _greedy(own: Any) -> Any:
    """What ends an answer and fills a row as the checkpoint says, all else as greedy decoding has it."""
    from transformers import GenerationConfig

    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    pad = own.pad_token_id if own.pad_token_id is not None else ends[0]
    return GenerationConfig(do_sample=False, num_beams=1, eos_token_id=ends, pad_token_id=pad)


def _padded(batch: Sequence[Inputs], pad: int) -> Inputs:
    """One batch of several: rows are filled up on the left, so that all answers begin at the same place."""
    import torch

    longest = max(inputs["input_ids"].shape[1] for inputs in batch)
    joined: Inputs = {}
    for name in batch[0]:
        tensors = [inputs[name] for inputs in batch]
        if name in _BY_ROW:
            fill = pad if name == "input_ids" else 0
            tensors = [torch.nn.functional.pad(t, (longest - t.shape[1], 0), value=fill) for t in tensors]
        joined[name] = torch.cat(tensors)
    return joined


def _peft_name(adapter: Adapter) -> str:
    """PEFT names modules by it, which may hold no dot."""
    return f"adapter-{adapter.number}"
