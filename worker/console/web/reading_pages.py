"""Pages that only show: the overview, clusters, search, one cluster, one risk."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from proguard_core.novelty.significance import Bounds, share_of
from worker.console.store import audit, erasing, reading, reviewing
from worker.console.store.clusters_of import clusters_of
from worker.console.store.models import ClusterDayRow, ClusterRow, ClusterState, RiskRow
from worker.console.store.post_reviews import decided_members
from worker.console.store.search import search
from worker.console.web import charts, render, shown
from worker.console.web.deciding import ACTIONS
from worker.console.web.inputs import PAGE, ClusterId, Clusters, Offset, Plain, Risks, Words
from worker.console.web.parts import Console, Here, Refused, Viewer
from worker.console.web.policies import codes_of
from worker.console.web.rates import share_with_interval

router = APIRouter(include_in_schema=False)
_DAYS = 30
_FEW = 10
_TIMELINE = 60


@router.get("/")
def overview(request: Request, console: Here, _: Viewer) -> Response:
    """What is new this morning."""
    now = console.clock()
    with console.store.reading() as session:
        seen = reading.overview(session, now, _DAYS)
        missed = audit.prevalence(session, now - timedelta(days=_DAYS), now + timedelta(hours=1))
        largest = reading.clusters(session, reading.ClusterFilter(sort="growth", snoozed_at=now), limit=_FEW).rows
        waiting = audit.waiting(session)
        days, further = seen.days, {row.id for row in (*seen.held, *largest)} - seen.trends.keys()
        trends = seen.trends | (reading.trends(session, sorted(further), days) if further else {})
    unclear = [share.part / share.whole if share.whole else None for share in seen.undetermined]
    context: dict[str, Any] = {
        "seen": seen,
        "largest": largest,
        "waiting": waiting,
        "missed": missed,
        "sparks": {
            row_id: charts.spark(tuple(counts), f"risks a day since {days[0]}: {', '.join(map(str, counts))}")
            for row_id, counts in trends.items()
        },
        "unclear": charts.shares(tuple(days), tuple(unclear), "share of undetermined verdicts a day"),
        "rate": lambda share: share_with_interval(share.part, share.whole),
        "name": shown.cluster_name,
        "severe": console.web.severe,
    }
    return render.page(request, "overview", **context)


@router.get("/clusters")
def clusters(
    request: Request, console: Here, _: Viewer, wanted: Clusters, q: Words = "", offset: Offset = 0
) -> Response:
    """All clusters of a filter; with words, risks too."""
    with console.store.reading() as session:
        page = reading.clusters(session, wanted.filter(console.clock()), offset)
        found = search(session, q, limit=0).clusters if q else []
    found = [each for each in found if not shown.is_withheld(each)]
    context: dict[str, Any] = {
        "page": page,
        "wanted": wanted,
        "q": q,
        "found": found,
        "size": PAGE,
        "name": shown.cluster_name,
    }
    return render.page(request, "clusters", **context)


@router.get("/search")
def searched(request: Request, console: Here, _: Viewer, wanted: Risks, q: Words = "", offset: Offset = 0) -> Response:
    """Risks by the words of their names and rationales."""
    with console.store.reading() as session:
        found = search(session, q, wanted, offset)
        around = clusters_of(session, found.risks.rows)
    context: dict[str, Any] = {
        "q": q,
        "wanted": wanted,
        "page": found.risks,
        "risks": shown.shown_risks(found.risks.rows, console.web.severe, around),
        # Not even as "(withheld)": that a word is in its name would be told.
        "clusters": [each for each in found.clusters if not shown.is_withheld(each)],
        "size": PAGE,
        "name": shown.cluster_name,
    }
    return render.page(request, "search", **context)


@router.get("/clusters/{cluster_id}")
def cluster(
    request: Request,
    console: Here,
    _: Viewer,
    cluster_id: ClusterId,
    offset: Offset = 0,
    came_from: Annotated[Plain | None, Query(alias="from")] = None,
    done: Annotated[Plain | None, Query()] = None,
) -> Response:
    """One cluster; where it became part of another one, that."""
    with console.store.reading() as session:
        row = reading.cluster(session, cluster_id)
        if row is None:
            raise Refused(404, f"There is no cluster {cluster_id}")
        if row.state is ClusterState.GONE:
            successor = _successor(session, row)
            if successor is None:
                raise Refused(410, f"Cluster {cluster_id} is gone", "Its members are in no cluster now.")
            return RedirectResponse(f"/clusters/{successor}{render.query(**{'from': cluster_id})}", 303)
        context = about(console, session, row, offset)
    return render.page(request, "cluster", came_from=came_from, done=done, **context)


def about(console: Console, session: Session, row: ClusterRow, offset: int = 0) -> dict[str, Any]:
    """Everything that a cluster's page shows, but for what the person is told on top of it."""
    severe, withheld = console.web.severe, shown.is_withheld(row)
    members = reading.members(session, row.id, offset)
    days = reading.timeline(session, row.id)
    exemplars = [] if withheld else reading.exemplars(session, row.id)
    spread = reading.spread(session, row.id)
    reviews = reviewing.reviews_of(session, row.id)
    codes = codes_of(console.settings)
    return {
        "row": row,
        "name": shown.cluster_name(row),
        "withheld": withheld,
        "snoozed": row.snoozed_until is not None and row.snoozed_until > console.clock(),
        "severe": severe,
        "exemplars": shown.shown_risks(exemplars, severe, {row.id: row}),
        "members": shown.shown_risks(members.rows, severe, {row.id: row}),
        "page": members,
        "size": PAGE,
        "spread": None if withheld else spread,
        "timeline": _timeline(days, console.clock().date()),
        "days": days,
        "history": reading.history(session, row.id),
        "reviews": reviews,
        "undone": {review.undoes for review in reviews if review.undoes is not None},
        "precision": reviewed_precision(session, row.id),
        "codes": codes,
        "conflict": None,
        "given": {},
        "two_persons": console.settings.console.two_persons,
        "actions": ACTIONS,
    }


def reviewed_precision(session: Session, cluster_id: str) -> Bounds | None:
    """Of the members that a person decided on by themselves: the share that is a risk, with its interval."""
    decisions = decided_members(session, cluster_id)
    return share_of(sum(each != "reject" for each in decisions), len(decisions)) if decisions else None


def _timeline(days: Sequence[ClusterDayRow], today: date) -> charts.Stacked | None:
    """The last days up to the latest with a risk; days without one have their place, days to come have none."""
    if not days:
        return None
    first, last = (date.fromisoformat(row.day) for row in (days[0], days[-1]))
    last = min(last, max(first, today))
    back = min((last - first).days, _TIMELINE - 1)
    axis = [(last - timedelta(days=each)).isoformat() for each in range(back, -1, -1)]
    place = {day: at for at, day in enumerate(axis)}
    counts: dict[str, list[int]] = {}
    for row in days:
        if row.day in place:
            counts.setdefault(row.revision, [0] * len(axis))[place[row.day]] += row.risks
    return charts.stacked(axis, counts, "risks a day by guard revision")


def _successor(session: Session, row: ClusterRow) -> str | None:
    """Where the members went, through clusters that are gone as well."""
    seen = {row.id}
    following: ClusterRow | None = row
    while following is not None and following.state is ClusterState.GONE:
        if following.successor is None or following.successor in seen:
            return None
        seen.add(following.successor)
        following = reading.cluster(session, following.successor)
    return None if following is None else following.id


@router.get("/risk")
def risk(
    request: Request,
    console: Here,
    _: Viewer,
    risk_id: Annotated[Plain | None, Query(alias="id")] = None,
    post: Annotated[Plain | None, Query()] = None,
) -> Response:
    """One risk, by its own id or by its post's: for links from elsewhere."""
    with console.store.reading() as session:
        row = _risk(session, risk_id, post)
        cluster = None if row is None or row.cluster_id is None else reading.cluster(session, row.cluster_id)
        erased = row is None and post is not None and erasing.was_erased(session, post)
    one = None if row is None else shown.shown_risk(row, console.web.severe, cluster)
    if erased:
        raise Refused(410, "This post was erased", "Nothing of it is kept here.")
    if row is None or one is None:
        # Erasures are remembered by post: of a risk's own id nobody can tell.
        said = "It may have been erased, or have expired, or nothing of it may be shown."
        raise Refused(404, "There is no such risk here", said)
    context: dict[str, Any] = {"risk": one, "cluster": cluster, "name": shown.cluster_name}
    return render.page(request, "risk", **context)


def _risk(session: Session, risk_id: str | None, post: str | None) -> RiskRow | None:
    if risk_id:
        return reading.risk(session, risk_id)
    return reading.risk_of_post(session, post) if post else None
