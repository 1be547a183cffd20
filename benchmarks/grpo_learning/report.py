"""What runs came to: a Markdown table, and reward by modality over the rollouts as one SVG."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.checkpoints import newest
from schemas.common import Modality

_HEAD = (
    "| seed | sampling | modality | rows | form before | earned before | earned | best constant | beaten"
    " | balanced accuracy | right category |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(results: Sequence[dict[str, Any]]) -> str:
    """earned: r_request + r_category of greedy answers to held-out rows, with its 95 % interval."""
    lines = [_HEAD]
    for result in results:
        for modality in Modality:
            before, after = result["before"][modality.value], result["after"].get(modality.value)
            if after is None:
                lines.append(f"| {result['seed']} | {result['sampling']} | {modality.value} | {result['why']} |")
                continue
            beaten = after["earned"]["low"] > after["constant"] and after["balanced"]["low"] > 0.5
            cells = (
                result["seed"],
                result["sampling"],
                modality.value,
                after["rows"],
                f"{before['form']:.1%}",
                _said(before["earned"]),
                _said(after["earned"]),
                f"{after['constant']:.2f}",
                "yes" if beaten else "**no**",
                _said(after["balanced"]),
                f"{after['right']:.0%}",
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """(update, mean reward of the rollout) by modality, from the last checkpoint's log."""
    found = newest(run)
    if found is None:
        return {}
    log = json.loads((found[0] / "trainer_state.json").read_text())["log_history"]
    keys = {modality.value: f"reward/{modality.value}" for modality in Modality}
    return {name: [(each["step"], each[key]) for each in log if key in each] for name, key in keys.items()}


def _said(interval: dict[str, float]) -> str:
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"
