"""The review queue, and what reviewers send: decisions on clusters and posts, snoozing, plans, labels, undoing."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.review import Decision
from worker.console.store import audit, reading, reviewing
from worker.console.store.minors import means_minors
from worker.console.store.models import ClusterRow, ClusterState, RiskRow
from worker.console.store.reviewing import ConflictError, Decided, ReviewError
from worker.console.web import deciding, render, shown
from worker.console.web.inputs import MAX_VERSION, PAGE, ClusterId, Offset, Plain, RowId
from worker.console.web.parts import Console, Here, Posted, Refused, Reviewer, Viewer
from worker.console.web.policies import codes_of, novelty_of
from worker.console.web.reading_pages import about

router = APIRouter(include_in_schema=False)


@router.get("/review")
def queue(request: Request, console: Here, _: Viewer, offset: Offset = 0) -> Response:
    """Clusters that nobody decided on, and how many posts wait for a label."""
    wanted = reading.ClusterFilter(states=(ClusterState.OPEN,), snoozed_at=console.clock())
    with console.store.reading() as session:
        page = reading.clusters(session, wanted, offset)
        waiting = audit.waiting(session)
    return render.page(request, "review", page=page, size=PAGE, waiting=waiting, name=shown.cluster_name)


@router.post("/clusters/{cluster_id}/decide")
def decide(request: Request, console: Here, person: Reviewer, fields: Posted, cluster_id: ClusterId) -> Response:
    """One decision on a cluster, as it was seen."""
    try:
        said = deciding.decided(fields, person)
        done = deciding.decide(console, cluster_id, said)
    except ReviewError as error:
        return _again(request, console, cluster_id, error, fields)
    return RedirectResponse(f"/clusters/{cluster_id}{render.query(done=done.review.review_id)}#decisions", 303)


@router.post("/clusters/{cluster_id}/snooze")
def snooze(request: Request, console: Here, person: Reviewer, fields: Posted, cluster_id: ClusterId) -> Response:
    """Keep it off the overview for some days."""
    try:
        days = deciding.whole_number(fields.get("days", ""), deciding.MAX_SNOOZE_DAYS, "the number of days")
        deciding.snooze(console, cluster_id, days, person)
    except ReviewError as error:
        return _again(request, console, cluster_id, error, fields)
    return RedirectResponse(f"/clusters/{cluster_id}", 303)


@router.post("/clusters/{cluster_id}/plan")
def plan(request: Request, console: Here, person: Reviewer, fields: Posted, cluster_id: ClusterId) -> Response:
    """Severity, action, owner, due date."""
    try:
        version = deciding.whole_number(fields.get("version", ""), MAX_VERSION, "the version of the cluster")
        deciding.plan(console, cluster_id, deciding.plan_of(fields), person, version)
    except ReviewError as error:
        return _again(request, console, cluster_id, error, fields)
    return RedirectResponse(f"/clusters/{cluster_id}#plan", 303)


@router.post("/reviews/undo")
def undo(request: Request, console: Here, person: Reviewer, fields: Posted) -> Response:
    """Withdraw a decision: another record."""
    try:
        cluster_id = deciding.undo(console, fields.get("review", "")[:512], person)
    except ReviewError as error:
        raise Refused(409, "It was not undone", str(error)) from None
    return RedirectResponse(f"/clusters/{cluster_id}#decisions" if cluster_id else "/review", 303)


@router.post("/risk/decide")
def decide_post(console: Here, person: Reviewer, fields: Posted) -> Response:
    """A decision on one member alone: right in its cluster, or no risk."""
    risk_id, said = fields.get("risk", "")[:512], fields.get("decision")
    if said not in ("right", "wrong"):
        raise Refused(422, "Nothing was decided", "Choose whether it is a risk or none.")
    novelty = novelty_of(console.settings)
    try:
        with console.store.writing() as session:
            row = reading.risk(session, risk_id)
            cluster = None if row is None or row.cluster_id is None else reading.cluster(session, row.cluster_id)
            if row is None or shown.shown_risk(row, (), cluster) is None:
                raise ReviewError("this post is not here any more")
            decided = _as_named(row, cluster, person.name) if said == "right" else Decided(Decision.REJECT, person.name)
            minors = means_minors((decided.name, *decided.synonyms), novelty)
            reviewing.decide_post(session, row.post_id, decided, console.clock(), minors=minors)
            cluster_id = row.cluster_id
    except ReviewError as error:
        raise Refused(409, "Nothing was decided", str(error)) from None
    return RedirectResponse(f"/clusters/{cluster_id}#members" if cluster_id else "/search", 303)


@router.get("/review/post")
def next_post(
    request: Request, console: Here, person: Reviewer, done: Annotated[RowId | None, Query()] = None
) -> Response:
    """The next post to label. It is claimed for ten minutes, so that no two people label the same."""
    with console.store.writing() as session:
        row = audit.next_post(session, person.name, console.clock())
        post = None if row is None else shown.shown_post(row)
        waiting = audit.waiting(session)
    codes = codes_of(console.settings)
    return render.page(request, "label", post=post, waiting=waiting, done=done, codes=codes, problem=None)


@router.post("/review/post")
def label(request: Request, console: Here, person: Reviewer, fields: Posted) -> Response:
    """A label of a post."""
    try:
        queue_id = deciding.whole_number(fields.get("post", ""), 2**31, "the post")
        said = deciding.label_of(fields.get("label"))
        code = deciding.code_of(fields.get("code")) if said is audit.Label.UNSAFE else None
        if code is not None and code not in codes_of(console.settings):
            raise ReviewError(f"the policy has no category {code}")
        with console.store.writing() as session:
            audit.label(session, queue_id, person.name, said, code, console.clock())
    except ReviewError as error:
        raise Refused(409, "The post was not labelled", str(error)) from None
    return RedirectResponse(f"/review/post{render.query(done=queue_id)}", 303)


@router.post("/review/post/undo")
def relabel(console: Here, person: Reviewer, fields: Posted) -> Response:
    """Withdraw a label: the post waits again."""
    try:
        queue_id = deciding.whole_number(fields.get("post", ""), 2**31, "the post")
        with console.store.writing() as session:
            audit.relabel(session, queue_id, person.name, console.clock())
    except ReviewError as error:
        raise Refused(409, "It was not undone", str(error)) from None
    return RedirectResponse("/review/post", 303)


def _as_named(row: RiskRow, cluster: ClusterRow | None, reviewer: str) -> Decided:
    """What its cluster is, so that one member makes no category of its own; by itself where it is in none."""
    if cluster is None or cluster.state is ClusterState.REJECTED:
        return Decided(Decision.CONFIRM, reviewer, row.name)
    if cluster.state is ClusterState.MERGED:
        return Decided(Decision.MERGE, reviewer, code=cluster.code)
    return Decided(Decision.CONFIRM, reviewer, cluster.name, cluster.code)


def _again(
    request: Request, console: Console, cluster_id: Plain, error: ReviewError, fields: dict[str, str]
) -> Response:
    """The cluster as it is now, what was wrong, and what the person had written: nothing is lost, nothing done."""
    with console.store.reading() as session:
        row = reading.cluster(session, cluster_id)
        if row is None:
            raise Refused(404, f"There is no cluster {cluster_id}")
        if row.state is ClusterState.GONE:
            more = f"It has become part of {row.successor}." if row.successor else "Its members are in no cluster now."
            raise Refused(409, f"Cluster {cluster_id} is gone: nothing was decided", more)
        context = about(console, session, row)
    changed = isinstance(error, ConflictError)
    context |= {"conflict": {"said": str(error), "changed": changed}, "given": fields, "came_from": None, "done": None}
    return render.page(request, "cluster", 409 if changed else 422, **context)
