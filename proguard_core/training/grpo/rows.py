"""The rows of a dataset folder as the trainer takes them; those whose prompt is too long are left out and counted."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from proguard_core.dataset.writers import DATASHEET, read_trl
from proguard_core.training.grpo.files import RunRefused, digest, read_json
from proguard_core.training.grpo.settings import GrpoSettings
from schemas.common import Modality

# Tokens of a chat's frame beside its turns: roles, marks, the beginning of the answer.
FRAME_TOKENS = 32
_COLUMNS = ("prompt", "images", "ground_truth", "modality")


class Rows:
    """A dataset by places, as torch reads one. A rollout's rows are asked for again in each of its micro-batches, so
    they are kept: decoding is done once. modalities: of each row; too_long: rows left out, by modality; table: all.
    """

    def __init__(self, folder: Path, processor: Any, settings: GrpoSettings) -> None:
        """folder: as `write_trl` writes it. Raises RunRefused."""
        try:
            self.datasheet = read_json(folder / DATASHEET)
            self.digest = digest([folder / "train.parquet"])
        except OSError as error:
            raise RunRefused(f"{folder} is no dataset for TRL: {error.strerror} ({error.filename})") from error
        table = read_trl(folder)
        if missing := set(_COLUMNS) - set(table.column_names):
            raise RunRefused(f"{folder} is no dataset for TRL: it has no column {sorted(missing)[0]}")
        lengths = _lengths(table, processor)
        self.too_long: Counter[str] = Counter()
        self._places: list[int] = []
        self.modalities: list[Modality] = []
        for at, (modality, length) in enumerate(zip(table["modality"], lengths, strict=True)):
            if length > settings.max_prompt:
                self.too_long[modality] += 1
                continue
            self._places.append(at)
            self.modalities.append(Modality(modality))
        if not self._places:
            raise RunRefused(f"{folder} has no row of at most {settings.max_prompt} tokens: {dict(self.too_long)}")
        self.table = table
        self._row = lru_cache(maxsize=2 * settings.prompts)(self._read)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: int) -> dict[str, Any]:
        return self._row(at)

    def _read(self, at: int) -> dict[str, Any]:
        row = self.table[self._places[at]]
        return {name: row[name] for name in _COLUMNS}


def prompt_tokens(
    prompts: Sequence[Sequence[Mapping[str, str]]], images: Sequence[Sequence[Mapping[str, bytes]]], processor: Any
) -> list[int]:
    """Tokens of each prompt with its pictures (`bytes`, of which headers are read), its frame estimated from above.

    System prompts are long and few, so each is counted once.
    """
    tokenizer = processor.tokenizer

    @cache
    def system(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    lengths: list[int] = []
    for prompt, pictures in zip(prompts, images, strict=True):
        texts = [system(turn["content"]) for turn in prompt if turn["role"] == "system"]
        said = [turn["content"] for turn in prompt if turn["role"] != "system"]
        texts += [len(ids) for ids in tokenizer(said, add_special_tokens=False)["input_ids"]]
        lengths.append(sum(texts) + _picture_tokens(pictures, processor.image_processor) + FRAME_TOKENS)
    return lengths


def _lengths(table: Any, processor: Any) -> list[int]:
    from datasets import Image, List

    images = table.cast_column("images", List(Image(decode=False)))["images"]
    return prompt_tokens(table["prompt"], images, processor)


def _picture_tokens(pictures: Sequence[Mapping[str, bytes]], image_processor: Any) -> int:
    from PIL import Image

    total = 0
    for picture in pictures:
        with Image.open(io.BytesIO(picture["bytes"])) as opened:
            width, height = opened.size
        total += image_processor.get_number_of_image_patches(height, width, {}) // image_processor.merge_size**2
    return total
