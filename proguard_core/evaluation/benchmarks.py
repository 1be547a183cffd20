"""`--benchmark`: FILE in the row form, SET=FILE as published, or SET=hub."""

import gzip
import hashlib
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from proguard_core.evaluation.loaders.files import FormError
from proguard_core.evaluation.loaders.registry import SetFacts, known_sets, load_file, load_hub
from proguard_core.evaluation.rows import Problems, Row, examine, read_rows

HUB = "hub"


@dataclass(slots=True)
class Benchmark:
    """A set that can be scored. folder: where pictures lie; digest: SHA-256 of the file, None from a hub."""

    name: str
    rows: list[Row]
    problems: Problems
    folder: Path
    facts: SetFacts | None = None
    file: str = HUB
    digest: str | None = None

    @property
    def title(self) -> str:
        """For people."""
        return self.facts.title if self.facts is not None else self.name


def load(text: str, codes: Collection[str] = ()) -> Benchmark:
    """The benchmark that an option names. codes: of a policy, beside the taxonomy's.

    Raises FormError, HubError where a hub does not give it, OSError where the file cannot be read.
    """
    try:
        return _load(text, codes)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FormError(f"{text.rpartition('=')[2]}: no whole gzip file ({error})") from None


def _load(text: str, codes: Collection[str]) -> Benchmark:
    name, equals, place = text.partition("=")
    facts = known_sets().get(name) if equals else None
    if equals and facts is None and not Path(text).exists():
        raise FormError(f"{name} is none of the sets {', '.join(sorted(known_sets()))}")
    problems = Problems()
    if facts is None:
        path = Path(text)
        rows = read_rows(path, problems, codes)
    elif place == HUB:
        return Benchmark(name, examine(load_hub(facts, problems), problems), problems, Path(), facts)
    else:
        path = Path(place)
        rows = load_file(facts, path, problems)
    rows = examine(rows, problems)
    if not rows:
        raise FormError(f"{path.name}: no row can be scored: {problems.in_words()}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own = name if facts is not None else path.name.removesuffix(".gz").removesuffix(".jsonl")
    return Benchmark(own, rows, problems, path.parent, facts, path.name, digest)


def load_all(texts: list[str], codes: Collection[str] = ()) -> list[Benchmark]:
    """All of them, each with a name of its own. Raises FormError, OSError."""
    found: list[Benchmark] = []
    for text in texts:
        benchmark = load(text, codes)
        taken = {other.name for other in found}
        number = 2
        own = benchmark.name
        while benchmark.name in taken:
            benchmark.name = f"{own}-{number}"
            number += 1
        found.append(benchmark)
    return found
