"""Which modalities the prompts of each rollout have: balanced, adaptive or, for comparison, scarce in pictures.

The paper found uniform results with balanced modalities, and worse ones where pictures are scarce.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from proguard_core.training.grpo.settings import GrpoSettings
from schemas.common import Modality

Shares = dict[Modality, float]


class Plan:
    """Rollout by rollout, the places of rows. The same for the same seed, settings and recorded variances.

    Shares of a rollout are fixed when it is drawn first, and kept: a trainer draws ahead, and again after a restart.
    Of each modality all rows come once, in a random order, before one comes again. One thread uses it.
    """

    def __init__(self, modalities: Sequence[Modality], settings: GrpoSettings) -> None:
        """modalities: of each row. ValueError without any row."""
        if not modalities:
            raise ValueError("there are no rows to train on")
        self._settings = settings
        self._rows: dict[Modality, list[int]] = {}
        for at, modality in enumerate(modalities):
            self._rows.setdefault(modality, []).append(at)
        self._rows = {modality: self._rows[modality] for modality in Modality if modality in self._rows}
        self.shares: list[Shares] = []
        self._variances: Shares = {}
        self._orders: dict[tuple[Modality, int], list[int]] = {}

    @property
    def present(self) -> tuple[Modality, ...]:
        """Modalities that there are rows of."""
        return tuple(self._rows)

    def observe(self, variances: Mapping[Modality, float]) -> None:
        """Of a rollout: for each of its modalities the mean variance of rewards within a group."""
        memory = self._settings.adaptive_memory
        for modality, value in variances.items():
            known = self._variances.get(modality, value)
            self._variances[modality] = memory * known + (1 - memory) * value

    def rollout(self, number: int) -> list[int]:
        """Places of a rollout's rows, as many as `prompts`. number: from 0."""
        while len(self.shares) <= number:
            self.shares.append(self._next_shares())
        counts = [self._counts(at) for at in range(number + 1)]
        chosen: list[int] = []
        for modality in self._rows:
            begin = sum(each[modality] for each in counts[:-1])
            chosen += (self._row(modality, begin + at) for at in range(counts[-1][modality]))
        random.Random(f"rollout {self._settings.seed} {number}").shuffle(chosen)
        return chosen

    def passes(self, rollouts: int) -> Shares:
        """How often each row of a modality came in so many rollouts, on average."""
        counts = [self._counts(at) for at in range(min(rollouts, len(self.shares)))]
        return {m: sum(each[m] for each in counts) / len(rows) for m, rows in self._rows.items()}

    def state(self) -> dict[str, Any]:
        """JSON values, for `restore`."""
        return {"shares": self.shares, "variances": self._variances}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.shares = [{Modality(m): share for m, share in each.items()} for each in state["shares"]]
        self._variances = {Modality(m): value for m, value in state["variances"].items()}

    def _next_shares(self) -> Shares:
        sampling = self._settings.sampling
        if sampling == "image-scarce" and Modality.IMAGE in self._rows and len(self._rows) > 1:
            scarce = self._settings.scarce_share
            others = (1 - scarce) / (len(self._rows) - 1)
            return {m: scarce if m is Modality.IMAGE else others for m in self._rows}
        if sampling == "adaptive" and set(self._variances) >= set(self._rows):
            return _with_floor({m: self._variances[m] for m in self._rows}, self._settings.least_share)
        return dict.fromkeys(self._rows, 1 / len(self._rows))

    def _counts(self, number: int) -> dict[Modality, int]:
        """Whole prompts by share; what is left over goes by turns, so that no modality gains in the long run."""
        shares, prompts = self.shares[number], self._settings.prompts
        counts = {m: int(share * prompts + 1e-9) for m, share in shares.items()}
        order = list(shares)
        turn = number % len(order)
        rests = {m: shares[m] * prompts - counts[m] for m in order}
        ranked = sorted([*order[turn:], *order[:turn]], key=lambda m: -round(rests[m], 6))
        for m in ranked[: prompts - sum(counts.values())]:
            counts[m] += 1
        return counts

    def _row(self, modality: Modality, place: int) -> int:
        """The row at a place of the endless order: a new permutation at each pass."""
        turn, at = divmod(place, len(self._rows[modality]))
        if (modality, turn) not in self._orders:
            chance = random.Random(f"rows {self._settings.seed} {modality.value} {turn}")
            rows = self._rows[modality]
            self._orders[modality, turn] = chance.sample(rows, len(rows))
            self._orders.pop((modality, turn - 2), None)
        return self._orders[modality, turn][at]


def _with_floor(weights: Shares, floor: float) -> Shares:
    """Shares that follow weights, none below the floor. Equal where every weight is 0."""
    free = 1 - floor * len(weights)
    total = sum(weights.values())
    if total <= 0:
        return dict.fromkeys(weights, 1 / len(weights))
    return {m: floor + free * value / total for m, value in weights.items()}
