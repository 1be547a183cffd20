"""The policy in force, what changed between its versions, and drafts of changes that reviews suggest."""

import difflib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from worker.console.policy_draft import DraftError, draft
from worker.console.store import StoreError, policy_versions, reading, reviewing
from worker.console.web import render, shown
from worker.console.web.inputs import ClusterId, Optional
from worker.console.web.parts import Console, Here, Refused, Viewer
from worker.console.web.policies import PolicyFile, policy_file
from worker.logs import logger

router = APIRouter(include_in_schema=False)


@router.get("/policy")
def policy(
    request: Request,
    console: Here,
    _: Viewer,
    old: Annotated[Optional, Query()] = None,
    new: Annotated[Optional, Query()] = None,
) -> Response:
    """Categories of the policy in force, the versions that were seen, and the difference of two of them."""
    file = policy_file(console.settings)
    remember(console, file)
    with console.store.reading() as session:
        versions = policy_versions.versions(session)
        texts = {name: policy_versions.text_of(session, name) for name in (old, new) if name}
    missing = next((name for name, text in texts.items() if text is None), None)
    changes = None
    if old and new and missing is None:
        changes = difference(texts[old] or "", texts[new] or "", old, new)
    context: dict[str, Any] = {
        "file": file,
        "versions": versions,
        "old": old,
        "new": new,
        "changes": changes,
        "missing": missing,
    }
    return render.page(request, "policy", **context)


@router.get("/clusters/{cluster_id}/policy.diff")
def policy_diff(console: Here, _: Viewer, cluster_id: ClusterId) -> Response:
    """What the policy's file would say after what was decided on a cluster: a diff to download, for a person."""
    with console.store.reading() as session:
        row = reading.cluster(session, cluster_id)
        if row is None or shown.is_withheld(row):
            raise Refused(404, f"There is no cluster {cluster_id}")
        reviews = reviewing.reviews_of(session, cluster_id)
    file = policy_file(console.settings)
    try:
        text = draft(file.text, file.policy, row, reviews)
    except DraftError as error:
        raise Refused(409, "There is nothing to draft", str(error)) from None
    body = "\n".join(difference(file.text, text, file.name, file.name)) + "\n"
    headers = {"content-disposition": f'attachment; filename="policy-{cluster_id}.diff"'}
    return PlainTextResponse(body, headers=headers)


def remember(console: Console, file: PolicyFile) -> None:
    """Keep a version that was not seen before; a store that cannot be written keeps nobody from reading."""
    if file.policy is None:
        return
    try:
        with console.store.reading() as session:
            known = policy_versions.text_of(session, file.policy.version) is not None
        if not known:
            with console.store.writing() as session:
                policy_versions.remember(session, file.policy.version, file.policy.name, file.text, console.clock())
    except StoreError as error:
        logger.warning("the policy's version could not be kept", extra={"why": str(error)})


def difference(before: str, after: str, before_name: str, after_name: str) -> list[str]:
    """A unified diff, a line each."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{before_name}", f"b/{after_name}", lineterm=""
    )
    return list(lines)
