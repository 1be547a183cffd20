"""Logging in and out, erasing, and who did what."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from worker.console.store import erasing, log
from worker.console.web import render
from worker.console.web.access import LOCAL_NAME, SESSION_COOKIE, Person, Role
from worker.console.web.inputs import PAGE, Offset, Optional
from worker.console.web.parts import CSRF_COOKIE, Admin, Console, Here, Posted, Refused, Viewer

router = APIRouter(include_in_schema=False)


@router.get("/livez")
def alive() -> Response:
    """For probes: this process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def ready(console: Here) -> Response:
    """For probes: the store answers. Raises StoreError, which is a 503."""
    with console.store.reading() as session:
        session.connection().exec_driver_sql("SELECT 1")
    return PlainTextResponse("ok\n")


@router.get("/login")
def log_in(request: Request, console: Here, token: Annotated[str | None, Query(max_length=512)] = None) -> Response:
    """With the token of the address that the console printed; else a page that asks for it."""
    if not console.access.speaks_to_us(request):
        raise Refused(421, "This is another host")
    if token is None:
        return render.page(request, "login", problem=None)
    return _logged_in(request, console, token)


@router.post("/login")
def log_in_by_form(request: Request, console: Here, fields: Posted) -> Response:
    """The same by the form."""
    if not console.access.speaks_to_us(request):
        raise Refused(421, "This is another host")
    return _logged_in(request, console, fields.get("token", "").strip())


def _logged_in(request: Request, console: Console, token: str) -> Response:
    if not console.logins.take(request.client.host if request.client else ""):
        raise Refused(429, "Too many attempts", "Wait a minute.")
    session = console.access.log_in(token)
    if session is None:
        return render.page(request, "login", 401, problem="That is not the token of this console.")
    console.note(Person(LOCAL_NAME, Role.ADMIN), "login", LOCAL_NAME)
    answer = RedirectResponse("/", 303)
    render.set_cookie(answer, request, console, SESSION_COOKIE, session, "lax")
    # What a browser had before it logged in is worth nothing afterwards.
    render.set_cookie(answer, request, console, CSRF_COOKIE, secrets.token_urlsafe(24), "strict")
    return answer


@router.post("/logout")
def log_out(request: Request, console: Here, _: Viewer, fields: Posted) -> Response:
    """End the session."""
    console.access.log_out(request.cookies.get(SESSION_COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


@router.get("/audit")
def audit_log(
    request: Request, console: Here, _: Admin, who: Annotated[Optional, Query()] = None, offset: Offset = 0
) -> Response:
    """Who did what."""
    with console.store.reading() as session:
        page = log.entries(session, who, offset=offset)
    return render.page(request, "audit", page=page, who=who, size=PAGE, erased=None)


@router.post("/erase")
def erase(request: Request, console: Here, person: Admin, fields: Posted) -> Response:
    """Forget an author's posts, or one post. What the topics hold is erased there, by a tombstone."""
    author, post = fields.get("author", "").strip()[:512], fields.get("post", "").strip()[:512]
    if not author and not post:
        raise Refused(422, "Say whom or what to erase")
    now = console.clock()
    with console.store.writing() as session:
        if author:
            done = erasing.erase_author(session, author, person.name, now)
        else:
            done = erasing.erase_post(session, post, person.name, now)
        page = log.entries(session)
    return render.page(request, "audit", page=page, who=None, size=PAGE, erased=done)
