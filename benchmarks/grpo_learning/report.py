"""What runs came to: a Markdown table, and the reward by modality over the rollouts as one SVG.

`python -m benchmarks.grpo_learning.report FOLDER [--plot FILE]` reads every run below FOLDER.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.checkpoints import newest
from schemas.common import Modality

LEARNED = "learned.json"
RETRAIN = "by `proguard retrain`"
"""What `through` says of a run that a whole round made; others started the trainer by themselves."""
_HEAD = (
    "| seed | sampling | modality | rows | form before | earned before | earned | best constant | beaten"
    " | balanced accuracy | the same within one source | right category |"
    "\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)
_COLOURS = {"balanced": "#2457c5", "image-scarce": "#b26a00", "adaptive": "#1a7f4b", f"balanced, {RETRAIN}": "#8a2f9e"}
_WIDTH, _HEIGHT, _MARGIN = 300, 190, 34
# Rollouts that a point of a curve is the mean of: one alone has eight prompts of a modality.
_SMOOTH = 5

Run = Mapping[str, Any]
Points = Sequence[tuple[float, float]]


def table(results: Sequence[Run]) -> str:
    """earned: r_request + r_category of greedy answers to held-out rows, with its 95 % interval."""
    return "\n".join([_HEAD, *(_row(result, modality) for result in results for modality in result["before"])])


def _row(result: Run, modality: str) -> str:
    before, after = result["before"][modality], result["after"].get(modality)
    first = [str(result["seed"]), _how(result), modality]
    if after is None:
        return f"| {' | '.join(first)} | {result['status']}: {result['why']} | | | | | | | | |"
    cells = [
        *first,
        str(after["rows"]),
        f"{before['form']:.1%}",
        _said(before["earned"]),
        _said(after["earned"]),
        f"{after['constant']:.2f}",
        "yes" if is_beaten(after) else "**no**",
        _said(after["balanced"]),
        _said(after["within"]),
        f"{after['right']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _how(result: Run) -> str:
    """Sampling, and what ran the training if it was not started by itself."""
    return ", ".join(str(result[key]) for key in ("sampling", "through") if key in result)


def is_beaten(after: Run) -> bool:
    """Whether the best constant answer earns less, and balanced accuracy is above 0.5, with their whole intervals."""
    return bool(after["earned"]["low"] > after["constant"] and after["balanced"]["low"] > 0.5)


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """(update, mean reward of the rollout) by modality, from the last checkpoint's log."""
    found = newest(run)
    return {} if found is None else curves_of(found[0])


def curves_of(checkpoint: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from one checkpoint, which is whole. Raises OSError, ValueError."""
    log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    keys = {modality.value: f"reward/{modality.value}" for modality in Modality}
    return {name: [(each["step"], each[key]) for each in log if key in each] for name, key in keys.items()}


def plot(results: Sequence[Run]) -> str:
    """A panel a modality, a line a run, coloured by sampling."""
    present = [m.value for m in Modality if any(result["curves"].get(m.value) for result in results)]
    panels = [_panel(results, modality, at) for at, modality in enumerate(present)]
    used = [name for name in _COLOURS if any(_how(result) == name for result in results)]
    key = "".join(
        f'<text x="{_MARGIN + 120 * at}" y="{_HEIGHT + 16}" fill="{_COLOURS[name]}">{name}</text>'
        for at, name in enumerate(used)
    )
    width, height = _WIDTH * len(panels), _HEIGHT + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        f' font-size="10" fill="#444"><rect width="{width}" height="{height}" fill="#fff"/>'
        f"{''.join(panels)}{key}</svg>\n"
    )


def _panel(results: Sequence[Run], modality: str, place: int) -> str:
    lines = [(_how(result), _smooth(result["curves"].get(modality, ()))) for result in results]
    lines = [(name, points) for name, points in lines if points]
    last = max((points[-1][0] for _, points in lines), default=1.0)
    top = 3.0  # the most that an answer can earn, of any kind

    def at(step: float, value: float) -> str:
        x = _MARGIN + step / last * (_WIDTH - _MARGIN - 8)
        return f"{x:.1f},{_HEIGHT - 22 - value / top * (_HEIGHT - 40):.1f}"

    grid = "".join(
        f'<polyline points="{at(0, value)} {at(last, value)}" stroke="#ddd"/>'
        f'<text x="{_MARGIN - 4}" y="{float(at(0, value).split(",")[1]) + 3}" text-anchor="end">{value:g}</text>'
        for value in (0.0, 1.0, 2.0, 3.0)
    )
    drawn = "".join(
        f'<polyline fill="none" stroke-width="1.4" stroke="{_COLOURS[name]}"'
        f' points="{" ".join(at(*point) for point in points)}"/>'
        for name, points in lines
    )
    title = f'<text x="{_MARGIN}" y="12">{modality}: reward of rollouts, to update {last:.0f}</text>'
    return f'<g transform="translate({place * _WIDTH} 0)">{title}{grid}{drawn}</g>'


def _smooth(points: Points) -> list[tuple[float, float]]:
    means = []
    for end in range(_SMOOTH, len(points) + 1):
        part = points[end - _SMOOTH : end]
        means.append((float(part[-1][0]), sum(value for _, value in part) / _SMOOTH))
    return means


def _said(interval: Run) -> str:
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def main() -> None:
    """Table to stdout, plot into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --out of the runs")
    parser.add_argument("--plot", type=Path, help="file for the curves, SVG")
    asked = parser.parse_args()
    results = [json.loads(path.read_text()) for path in sorted(asked.folder.glob(f"seed-*/*/{LEARNED}"))]
    results.sort(key=lambda result: (list(_COLOURS).index(_how(result)), result["seed"]))
    print(table(results))
    if asked.plot is not None:
        asked.plot.write_text(plot(results))


if __name__ == "__main__":
    main()
