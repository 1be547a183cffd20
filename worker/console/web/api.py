"""The API: what pages show and do, as JSON, with the same rights."""

import math
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse

from proguard_core.novelty.significance import Bounds
from worker.console.store import audit, erasing, reading, reviewing
from worker.console.store.clusters_of import clusters_of
from worker.console.store.models import ClusterRow, ReviewRow
from worker.console.store.reviewing import Decided, Plan, ReviewError
from worker.console.store.search import search
from worker.console.web import api_models as models
from worker.console.web import deciding, shown
from worker.console.web.inputs import PAGE, ClusterId, Clusters, Limit, Offset, Plain, Risks, Words, midnight
from worker.console.web.parts import Admin, Console, Here, Refused, Reviewer, Viewer, sent_by_program
from worker.console.web.policies import codes_of
from worker.console.web.shown import ShownRisk

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Problem} for status in (400, 401, 403, 404, 409, 411, 413, 415, 421, 422, 429, 503)
}
router = APIRouter(prefix="/api", dependencies=[Depends(sent_by_program)], responses=_PROBLEMS)


@router.get("/openapi.json", include_in_schema=False)
def description(request: Request, _: Viewer) -> JSONResponse:
    """This API, as OpenAPI."""
    return JSONResponse(request.app.openapi())


@router.get("/overview")
def overview(console: Here, _: Viewer, days: Annotated[int, Query(ge=1, le=365)] = 30) -> models.OverviewFacts:
    """What is new."""
    with console.store.reading() as session:
        seen = reading.overview(session, console.clock(), days)
    return models.OverviewFacts(
        emerging=[_cluster(row) for row in seen.emerging],
        held=[_cluster(row) for row in seen.held],
        days=list(seen.days),
        trends=seen.trends,
        risks=seen.risks,
        clusters=seen.clusters,
        verdicts=seen.verdicts,
        latest=seen.latest,
    )


@router.get("/clusters")
def clusters(console: Here, _: Viewer, wanted: Clusters, offset: Offset = 0, limit: Limit = PAGE) -> models.ClusterPage:
    """Clusters of a filter."""
    with console.store.reading() as session:
        page = reading.clusters(session, wanted.filter(console.clock()), offset, limit)
    found = [_cluster(row) for row in page.rows]
    return models.ClusterPage(total=page.total, offset=page.offset, clusters=found)


@router.get("/clusters/{cluster_id}")
def cluster(console: Here, _: Viewer, cluster_id: ClusterId) -> models.ClusterFacts:
    """One cluster, also one that is gone: `successor` says where its members went."""
    with console.store.reading() as session:
        return _cluster(_known(reading.cluster(session, cluster_id), cluster_id))


@router.get("/clusters/{cluster_id}/members")
def members(
    console: Here, _: Viewer, cluster_id: ClusterId, offset: Offset = 0, limit: Limit = PAGE
) -> models.RiskPage:
    """Members of a cluster, the latest first."""
    with console.store.reading() as session:
        row = _known(reading.cluster(session, cluster_id), cluster_id)
        page = reading.members(session, cluster_id, offset, limit)
    found = [_risk(each) for each in shown.shown_risks(page.rows, console.web.severe, {row.id: row})]
    return models.RiskPage(total=page.total, offset=page.offset, risks=found)


@router.get("/clusters/{cluster_id}/history")
def history(console: Here, _: Viewer, cluster_id: ClusterId) -> list[models.EventFacts]:
    """What happened to a cluster, the latest first."""
    with console.store.reading() as session:
        row = _known(reading.cluster(session, cluster_id), cluster_id)
        events = [] if shown.is_withheld(row) else reading.history(session, cluster_id)
    return [models.EventFacts(at=each.at, change=each.change.value, detail=each.detail) for each in events]


@router.get("/clusters/{cluster_id}/reviews")
def reviews(console: Here, _: Viewer, cluster_id: ClusterId) -> list[models.ReviewFacts]:
    """Decisions on a cluster, the latest first, those that undo others among them."""
    with console.store.reading() as session:
        row = _known(reading.cluster(session, cluster_id), cluster_id)
        found = [] if shown.is_withheld(row) else reviewing.reviews_of(session, cluster_id)
    return [_review(each, counts=each.before.get("counts", True)) for each in found]


@router.post("/clusters/{cluster_id}/decisions", status_code=201)
def decide(console: Here, person: Reviewer, cluster_id: ClusterId, given: models.DecisionGiven) -> models.ReviewFacts:
    """Decide on a cluster. 409 where it is not as `version` says: look at it again."""
    said = deciding.checked(
        Decided(
            given.decision,
            person.name,
            given.name,
            given.code,
            tuple(given.synonyms),
            given.note,
            given.version,
        )
    )
    done = deciding.decide(console, cluster_id, said)
    return _review(done.review, counts=done.counts)


@router.post("/reviews/{review_id}/undo", status_code=201)
def undo(console: Here, person: Reviewer, review_id: Annotated[Plain, Path()]) -> models.ReviewFacts:
    """Withdraw a decision: another record."""
    with console.store.writing() as session:
        return _review(reviewing.undo(session, review_id, person.name, console.clock()))


@router.post("/clusters/{cluster_id}/snooze")
def snooze(console: Here, person: Reviewer, cluster_id: ClusterId, given: models.SnoozeGiven) -> models.Done:
    """Keep a cluster off the overview for some days."""
    deciding.snooze(console, cluster_id, given.days, person)
    return models.Done()


@router.put("/clusters/{cluster_id}/plan")
def plan(console: Here, person: Reviewer, cluster_id: ClusterId, given: models.PlanGiven) -> models.Done:
    """Severity, action, owner and due date."""
    planned = Plan(given.severity, given.action, given.owner, midnight(given.due))
    deciding.plan(console, cluster_id, planned, person, given.version)
    return models.Done()


@router.get("/search")
def searched(
    console: Here, _: Viewer, wanted: Risks, q: Words = "", offset: Offset = 0, limit: Limit = PAGE
) -> models.RiskPage:
    """Risks by the words of their names and rationales."""
    with console.store.reading() as session:
        page = search(session, q, wanted, offset, limit).risks
        around = clusters_of(session, page.rows)
    found = [_risk(each) for each in shown.shown_risks(page.rows, console.web.severe, around)]
    return models.RiskPage(total=page.total, offset=page.offset, risks=found)


@router.get("/risks")
def risk(console: Here, _: Viewer, post_id: Plain) -> models.RiskFacts:
    """The latest risk of a post. 410 where the post was erased."""
    with console.store.reading() as session:
        row = reading.risk_of_post(session, post_id)
        gone = row is None and erasing.was_erased(session, post_id)
        around = clusters_of(session, [] if row is None else [row])
    one = None if row is None else shown.shown_risk(row, console.web.severe, around.get(row.cluster_id or ""))
    if one is None:
        raise Refused(410 if gone else 404, "This post was erased" if gone else "There is no such risk here")
    return _risk(one)


@router.get("/prevalence")
def prevalence(console: Here, _: Viewer, days: Annotated[int, Query(ge=1, le=365)] = 30) -> models.PrevalenceFacts:
    """What the guard misses, estimated from the audit sample."""
    until = console.clock() + timedelta(hours=1)
    since = until - timedelta(days=days)
    with console.store.reading() as session:
        found = audit.prevalence(session, since, until)
    posts, missed = _interval(found.posts), _interval(found.missed)
    return models.PrevalenceFacts(since=since, until=until, found=found.found, posts=posts, missed=missed)


@router.get("/revisions")
def revisions(console: Here, _: Viewer) -> list[models.RevisionFacts]:
    """Guard revisions that judged something, the latest first."""
    with console.store.reading() as session:
        rows = reading.revisions(session)
    return [
        models.RevisionFacts(
            revision=row.revision, guard_name=row.guard_name, first_seen=row.first_seen, last_seen=row.last_seen
        )
        for row in rows
    ]


@router.post("/queue/next")
def next_post(console: Here, person: Reviewer) -> models.PostFacts | None:
    """The next post to label; null where there is none."""
    with console.store.writing() as session:
        row = audit.next_post(session, person.name, console.clock())
        post = None if row is None else shown.shown_post(row)
    return None if post is None else models.PostFacts(**{**post, "pictures": post["pictures"].count})


@router.post("/queue/{queue_id}/label")
def label(
    console: Here, person: Reviewer, queue_id: Annotated[int, Path(ge=1, le=2**53)], given: models.LabelGiven
) -> models.Done:
    """Label a post of the queue."""
    _check_code(console, given.code)
    if given.code is not None and given.label is not audit.Label.UNSAFE:
        raise ReviewError("only what is unsafe has a category")
    with console.store.writing() as session:
        audit.label(session, queue_id, person.name, given.label, given.code, console.clock())
    return models.Done()


@router.post("/erase")
def erase(console: Here, person: Admin, given: models.EraseGiven) -> models.Erased:
    """Forget an author's posts or one post, in the store. What the topics hold is erased there, by a tombstone."""
    if bool(given.author_id) == bool(given.post_id):
        raise ReviewError("say author_id or post_id")
    now = console.clock()
    with console.store.writing() as session:
        if given.author_id:
            done = erasing.erase_author(session, given.author_id, person.name, now)
        else:
            done = erasing.erase_post(session, given.post_id or "", person.name, now)
    return models.Erased(risks=done.risks, queued=done.queued)


def _check_code(console: Console, code: str | None) -> None:
    if code is not None and code not in codes_of(console.settings):
        raise ReviewError(f"the policy has no category {code}")


def _known(row: ClusterRow | None, cluster_id: str) -> ClusterRow:
    if row is None:
        raise Refused(404, f"There is no cluster {cluster_id}")
    return row


def _cluster(row: ClusterRow) -> models.ClusterFacts:
    return models.ClusterFacts(**shown.cluster_facts(row))


def _risk(one: ShownRisk) -> models.RiskFacts:
    return models.RiskFacts(**{**asdict(one), "pictures": one.pictures.count})


def _review(row: ReviewRow, *, counts: bool = True) -> models.ReviewFacts:
    return models.ReviewFacts(
        review_id=row.review_id,
        cluster=row.cluster_id,
        post=row.post_id,
        decision=row.decision,
        name=row.name,
        code=row.code,
        synonyms=[str(each) for each in row.synonyms],
        reviewer=row.reviewer,
        reviewed_at=row.reviewed_at,
        undoes=row.undoes,
        counts=counts,
    )


def _interval(found: Bounds | None) -> models.Interval | None:
    if found is None:
        return None
    return models.Interval(value=found.value, low=found.low, high=found.high if math.isfinite(found.high) else None)
