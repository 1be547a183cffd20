"""The champion: the one revision that serves. champion.json changes by conditional writes only; its past is a chain.

Every change first leaves a record under champions/, which nobody changes any more, and then puts the same content in
champion.json. A record that was written and did not become champion hangs on no chain: history never shows it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proguard_core.training.registry.records import Base, Cause, Champion, DamagedError, Step, StepRecord
from proguard_core.training.registry.runs import Registry, Run, RunError
from proguard_core.training.registry.store import Conflict, Missing

CHAMPION = "champion.json"


class NotPromotedError(ValueError):
    """The champion stays what it was; the text says why."""


class OtherBaseError(NotPromotedError):
    """The revision stands on another base model."""


class LostRaceError(NotPromotedError):
    """Another champion came meanwhile: what was made from the old one must be made again."""


class ServedBeforeError(NotPromotedError):
    """The run was champion before and is not now: it was replaced or rolled back."""


class NothingBeforeError(NotPromotedError):
    """There is no earlier champion to go back to."""


@dataclass(frozen=True, slots=True)
class Current:
    """tag: of champion.json, for the next conditional read or write."""

    champion: Champion
    tag: str


class Champions:
    """The champion of a registry and its history."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._store = registry.store

    def current(self) -> Current | None:
        """None before the first release. Raises DamagedError."""
        try:
            stored = self._store.read(CHAMPION)
        except Missing:
            return None
        return Current(Champion.decoded(stored.body, CHAMPION), stored.tag)

    def changed(self, tag: str | None) -> Current | None:
        """The champion, unless its tag is still this one: cheap enough to ask every few seconds."""
        if tag is None:
            return self.current()
        try:
            stored = self._store.read_unless(CHAMPION, tag)
        except Missing:
            return None
        return None if stored is None else Current(Champion.decoded(stored.body, CHAMPION), stored.tag)

    def history(self) -> list[Champion]:
        """The latest first. Raises DamagedError where the chain is broken: what cannot be traced is not trusted."""
        current = self.current()
        found = [] if current is None else [current.champion]
        while found and (name := found[-1].previous) is not None:
            key = f"champions/{name}.json"
            try:
                earlier = self.registry.read(Champion, key)
            except Missing:
                raise DamagedError(f"{key}, which champion {found[-1].number} follows, is missing") from None
            if earlier.name != name or earlier.number >= found[-1].number:
                raise DamagedError(f"{key} is not the record that it was")
            found.append(earlier)
        return found

    def first(self) -> Champion:
        """The first release, against which every gate compares. Raises RunError where there is none."""
        history = self.history()
        if not history:
            raise RunError(f"{self._store.address} has no champion yet: release one first")
        return history[-1]

    def release(self, run: Run, by: str, reason: str) -> Champion:
        """The first champion, without a gate: somebody vouches for it. Again with the same run: what is there.

        Raises LostRaceError where another one is champion, DamagedError where its files are not as recorded.
        """
        current = self.current()
        if current is not None:
            if current.champion.run == run.record.run:
                return current.champion
            raise LostRaceError(f"run {current.champion.run} is champion already")
        return self._put(self._made(run, Cause.RELEASE, by, reason, None), None)

    def promote(
        self, run: Run, by: str, reason: str, *, report: str | None = None, signed_by: Sequence[str] = ()
    ) -> Champion:
        """Make a run champion that was trained from the present one. Again: what is there.

        This is the last step only: whether the gate lets it through is asked in `proguard_core.training.promotion`.
        Raises NotPromotedError and its kinds, DamagedError where a file is not as recorded.
        """
        current = self.current()
        if current is None:
            raise NotPromotedError(f"{self._store.address} has no champion yet: release one first")
        if current.champion.run == run.record.run:
            return current.champion
        if any(each.run == run.record.run for each in self.history()):
            raise ServedBeforeError(f"run {run.record.run} was champion before; only a rollback brings it back")
        check_base(current.champion.base, run.record.base, run.record.run)
        if run.record.parent != current.champion.run:
            raise LostRaceError(
                f"run {run.record.run} goes on from {run.record.parent}, but {current.champion.run} is champion now"
            )
        made = self._made(run, Cause.PROMOTION, by, reason, current.champion)
        return self._put(made.model_copy(update={"report": report, "signed_by": tuple(signed_by)}), current.tag)

    def roll_back(self, by: str, reason: str, to: str | None = None) -> Champion:
        """Back to what was champion before the present one was promoted, or to a run that was champion at any time.

        Twice goes back two promotions. The files are read and compared with their hashes first. Raises
        NothingBeforeError, LostRaceError where the champion changed meanwhile, DamagedError.
        """
        current = self.current()
        if current is None:
            raise NothingBeforeError(f"{self._store.address} has no champion")
        history = self.history()
        served = list(dict.fromkeys(each.run for each in history))
        target = _before(history) if to is None else to
        if target is None:
            raise NothingBeforeError(f"run {current.champion.run} is the first release: nothing was before it")
        if target not in served:
            raise NothingBeforeError(f"run {target} never was champion")
        if target == current.champion.run:
            raise NothingBeforeError(f"run {target} is champion now")
        run = self.registry.run(target)
        check_base(current.champion.base, run.record.base, target)
        earlier = next(each for each in history if each.run == target)
        made = self._made(run, Cause.ROLLBACK, by, reason, current.champion)
        if made.train != earlier.train:
            raise DamagedError(f"the training record of {target} is not the one that served")
        return self._put(made, current.tag)

    def fetch(self, champion: Champion, into: Path, base: Base | None = None) -> StepRecord:
        """The champion's files in a new folder, every hash compared. base: the one that is served.

        Raises OtherBaseError, DamagedError, RunError; the folder is there only where all is well.
        """
        if base is not None:
            check_base(base, champion.base, champion.run)
        run = self.registry.run(champion.run)
        if run.finished(Step.TRAIN).digest != champion.train:
            raise DamagedError(f"the training record of {champion.run} is not the one that became champion")
        return run.fetch(Step.TRAIN, into)

    def _made(self, run: Run, cause: Cause, by: str, reason: str, previous: Champion | None) -> Champion:
        train = run.verify(Step.TRAIN)
        if not train.files:
            raise DamagedError(f"the training of {run.record.run} left no files")
        return Champion(
            number=1 if previous is None else previous.number + 1,
            run=run.record.run,
            revision=str(train.facts.get("revision") or run.record.run),
            kind=run.record.kind,
            base=run.record.base,
            train=train.digest,
            cause=cause,
            by=by,
            reason=reason,
            previous=None if previous is None else previous.name,
            token=secrets.token_hex(8),
            at=self.registry.clock(),
        )

    def _put(self, champion: Champion, tag: str | None) -> Champion:
        body = champion.encoded()
        self._store.create(f"champions/{champion.name}.json", body)
        try:
            if tag is None:
                self._store.create(CHAMPION, body)
            else:
                self._store.replace(CHAMPION, body, tag)
        except Conflict:
            raise LostRaceError(f"another champion came before run {champion.run}; nothing was changed") from None
        return champion


def check_base(expected: Base, found: Base, run: str) -> None:
    """Raises OtherBaseError. Names may differ (a mirror, a folder); the hash decides."""
    if expected.sha256 != found.sha256:
        raise OtherBaseError(
            f"run {run} stands on {found.name} ({found.sha256[:12]}), not on {expected.name} ({expected.sha256[:12]})"
        )


def _before(history: Sequence[Champion]) -> str | None:
    """The run below the present one, were promotions put on a pile and rollbacks taken from it."""
    pile: list[str] = []
    for each in reversed(history):
        if each.cause is Cause.ROLLBACK and each.run in pile:
            del pile[pile.index(each.run) + 1 :]
        elif not pile or pile[-1] != each.run:
            pile.append(each.run)
    return pile[-2] if len(pile) > 1 else None
