"""Decisions as forms and the API give them: checked, taken, and said in words where they cannot be."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from proguard_core.policy.policy import MINORS, SEXUAL
from schemas.common import Code
from schemas.review import Decision
from schemas.verdict import MAX_NAME_CHARACTERS
from worker.console.store import reviewing
from worker.console.store.audit import Label
from worker.console.store.minors import means_minors
from worker.console.store.reviewing import ConflictError, Decided, Plan, Reviewed, ReviewError
from worker.console.web.access import Person
from worker.console.web.inputs import MAX_VERSION
from worker.console.web.parts import Console
from worker.console.web.policies import codes_of, novelty_of

SEVERITIES = ("low", "medium", "high", "critical")
ACTIONS = ("watch", "add a category", "extend a category", "raise a threshold", "tell the legal team", "nothing")
MAX_NOTE = 2000
MAX_SYNONYMS = 50
MAX_SNOOZE_DAYS = 365
_CODE: TypeAdapter[str] = TypeAdapter(Code)


def decided(fields: Mapping[str, str], person: Person) -> Decided:
    """From the fields of a form. Raises ReviewError."""
    try:
        decision = Decision(fields.get("decision", ""))
    except ValueError:
        raise ReviewError("choose what is to be done: confirm, rename, merge or reject") from None
    synonyms = tuple(line.strip() for line in fields.get("synonyms", "").splitlines() if line.strip())
    return checked(
        Decided(
            decision,
            person.name,
            _text(fields, "name", MAX_NAME_CHARACTERS) if decision in (Decision.CONFIRM, Decision.RENAME) else None,
            code_of(fields.get("code")) if decision in (Decision.CONFIRM, Decision.MERGE) else None,
            synonyms if decision in (Decision.CONFIRM, Decision.MERGE) else (),
            _text(fields, "note", MAX_NOTE),
            whole_number(fields.get("version", ""), MAX_VERSION, "the version of the cluster"),
        )
    )


def checked(said: Decided) -> Decided:
    """The decision, if its parts are there and of a size that a record may have. Raises ReviewError."""
    if said.decision in (Decision.CONFIRM, Decision.RENAME) and not said.name:
        raise ReviewError("a name is needed")
    if any(not each.strip() for each in (said.name, *said.synonyms) if each is not None):
        raise ReviewError("a name has more than blanks")
    if said.decision is Decision.MERGE and said.code is None:
        raise ReviewError("say which category it belongs to")
    if said.decision in (Decision.RENAME, Decision.REJECT) and (said.code or said.synonyms):
        raise ReviewError(f"to {said.decision.value} takes neither code nor synonyms")
    if len(said.synonyms) > MAX_SYNONYMS:
        raise ReviewError(f"at most {MAX_SYNONYMS} synonyms")
    for each in (said.name or "", *said.synonyms):
        if len(each) > MAX_NAME_CHARACTERS:
            raise ReviewError(f"a name has at most {MAX_NAME_CHARACTERS} characters")
        if not each.isprintable():
            raise ReviewError("a name has no line ends or other control characters")
    return said


def decide(console: Console, cluster_id: str, said: Decided) -> Reviewed:
    """Take a decision, in one transaction. Raises ReviewError, ConflictError, StoreError."""
    if said.decision is Decision.MERGE and said.code not in {*codes_of(console.settings), SEXUAL, MINORS}:
        raise ReviewError(f"the policy has no category {said.code}")
    two, novelty = console.settings.console.two_persons, novelty_of(console.settings)
    minors = means_minors((said.name, *said.synonyms), novelty)  # before the store is held
    with console.store.writing() as session, _kept(session):
        return reviewing.decide(session, cluster_id, said, console.clock(), two_persons=two, minors=minors)


def undo(console: Console, review_id: str, person: Person) -> str:
    """Withdraw a decision; the cluster or post that it was about. Raises ReviewError, StoreError."""
    with console.store.writing() as session:
        row = reviewing.undo(session, review_id, person.name, console.clock())
        return row.cluster_id or ""


def snooze(console: Console, cluster_id: str, days: int, person: Person) -> None:
    """Keep a cluster off the overview for days; 0 wakes it. Raises ReviewError, StoreError."""
    now = console.clock()
    with console.store.writing() as session, _kept(session):
        reviewing.snooze(session, cluster_id, now + timedelta(days=days) if days else None, person.name, now)


def plan(console: Console, cluster_id: str, planned: Plan, person: Person, version: int | None = None) -> None:
    """Set what is to be done about a cluster, as it was seen. Raises ReviewError, ConflictError, StoreError."""
    with console.store.writing() as session, _kept(session):
        reviewing.plan(session, cluster_id, planned, person.name, console.clock(), version)


@contextmanager
def _kept(session: Session) -> Iterator[None]:
    """The cluster that a conflict tells of outlives its transaction, so that it can be shown."""
    try:
        yield
    except ConflictError as error:
        if error.now is not None:
            session.expunge(error.now)
        raise


def plan_of(fields: Mapping[str, str]) -> Plan:
    """From the fields of a form. Raises ReviewError."""
    severity, action = fields.get("severity") or None, fields.get("action") or None
    if severity not in (None, *SEVERITIES) or action not in (None, *ACTIONS):
        raise ReviewError("choose severity and action from the lists")
    return Plan(severity, action, _text(fields, "owner", 200), due_of(fields.get("due")))


def due_of(given: str | None) -> datetime | None:
    """The begin of a day, as YYYY-MM-DD. Raises ReviewError."""
    if not given:
        return None
    try:
        day = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date()
        if not 2000 <= day.year <= 2999:
            raise ValueError
        return datetime.combine(day, time(), UTC)
    except ValueError:
        raise ReviewError("a due date is a day such as 2026-12-24") from None


def code_of(given: str | None) -> str | None:
    """A code of a policy, None for an empty one. Raises ReviewError."""
    if not given or not given.strip():
        return None
    try:
        code = _CODE.validate_python(given.strip().upper())
    except ValidationError:
        raise ReviewError("a code looks like C12 or C3S1") from None
    if len(code) > 16:
        raise ReviewError("a code looks like C12 or C3S1")
    return code


def label_of(given: str | None) -> Label:
    """safe, unsafe or unsure. Raises ReviewError."""
    try:
        return Label(given or "")
    except ValueError:
        raise ReviewError("choose safe, unsafe or unsure") from None


def whole_number(given: str, most: int, what: str) -> int:
    """From 0 to `most`. Raises ReviewError."""
    if not given.isascii() or not given.isdecimal() or len(given) > 10 or int(given) > most:
        raise ReviewError(f"{what} is missing or wrong: load the page again")
    return int(given)


def _text(fields: Mapping[str, str], name: str, most: int) -> str | None:
    text = fields.get(name, "").strip()
    if len(text) > most:
        raise ReviewError(f"{name} has at most {most} characters")
    return text or None
