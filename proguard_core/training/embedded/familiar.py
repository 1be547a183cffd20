"""Make an artefact's familiar.npz (guards/embedded/familiar.py): `python -m proguard_core.training.embedded.familiar`.

Kinds of text are the middles of k-means over the features of taught texts; the distances that are usual are measured on
the held-out rows of the same sources. What the artefact's manifest says was left out is left out here too.
"""

import argparse
import json
import random
from collections.abc import Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.familiar import FAMILIAR, Familiar
from proguard_core.guards.embedded.reader import read_tokenizer
from proguard_core.guards.embedded.text_model import CALIBRATION, FOLDER, MANIFEST, Calibration, TextModel
from proguard_core.guards.embedded.windows import Windows, normalise
from proguard_core.training.embedded.mixture import teaching_mixture
from proguard_core.training.embedded.rows import Example, LeftOut, dev_examples, digest

KINDS = 256
STEPS = 201
MOST_OF_A_KIND = 300
"""Texts of one source, turn and label at most: without it the two largest sources would be most of what is familiar."""
SEED = 7
_LARGEST = 127

Array = NDArray[np.float32]


def few_of_each(examples: Iterable[Example], most: int = MOST_OF_A_KIND) -> list[Example]:
    """At most so many of each source, turn and label, drawn by the seed."""
    kinds: dict[Hashable, list[Example]] = {}
    for each in examples:
        kinds.setdefault((each.source, each.response is not None, each.unsafe), []).append(each)
    chooser = random.Random(SEED)
    return [each for members in kinds.values() for each in chooser.sample(members, min(most, len(members)))]


def features_of(examples: list[Example], folder: Path, threads: int) -> Array:
    """One row a window, in order."""
    model = TextModel(folder, 1)
    windows = Windows(read_tokenizer(folder), Calibration.read(folder / CALIBRATION).tokens)

    def read(each: Example) -> list[Array]:
        text = normalise(each.request)
        response = each.response
        cut = windows.of_request(text) if response is None else windows.of_response(text, normalise(response))
        return [model.read(window).features for window in cut]

    with ThreadPoolExecutor(threads) as pool:
        return np.array([one for found in pool.map(read, examples) for one in found], np.float32)


def fitted(taught: Array, held_out: Array, kinds: int = KINDS) -> dict[str, Any]:
    """The arrays of familiar.npz; middles as int8, since only their direction counts."""
    from sklearn.cluster import MiniBatchKMeans

    if not len(taught) or not len(held_out):
        raise ValueError(f"{FAMILIAR} needs taught and held-out texts, not {len(taught)} and {len(held_out)} windows")
    centre = taught.mean(axis=0)
    away = taught - centre
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    found = MiniBatchKMeans(min(kinds, len(away)), random_state=SEED, n_init=3, batch_size=1024).fit(away)
    middles = found.cluster_centers_ / np.maximum(np.abs(found.cluster_centers_).max(axis=1, keepdims=True), 1e-12)
    stored = np.round(middles * _LARGEST).astype(np.int8)
    measure = Familiar(centre, stored.astype(np.float32), np.array([0.0, 2.0]))
    distances = [measure.distance(each) for each in held_out]
    return {"centre": centre, "middles": stored, "steps": np.quantile(distances, np.linspace(0, 1, STEPS))}


def write_familiar(folder: Path, data: Path, left_out: LeftOut, threads: int) -> None:
    """Beside the artefact's other files, of which calibration, network and tokenizer have to be there already."""
    taught = few_of_each(teaching_mixture(data, SEED, left_out))
    held_out = few_of_each(dev_examples(data, left_out))
    arrays = fitted(features_of(taught, folder, threads), features_of(held_out, folder, threads))
    with (folder / FAMILIAR).open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{FAMILIAR}: {len(taught)} taught and {len(held_out)} held-out texts", flush=True)


def main() -> None:
    """For an artefact that stands, whose manifest then names the file."""
    parser = argparse.ArgumentParser(prog="python -m proguard_core.training.embedded.familiar", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the rows that the artefact was taught")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the artefact")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    manifest = json.loads((asked.out / MANIFEST).read_text(encoding="utf-8"))
    said = manifest.get("left_out", {"sources": [], "codes": []})
    left_out = LeftOut(frozenset(said["sources"]), frozenset(said["codes"]))
    write_familiar(asked.out, asked.data, left_out, asked.threads)
    manifest.setdefault("files", {})[FAMILIAR] = digest(asked.out / FAMILIAR)
    (asked.out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
