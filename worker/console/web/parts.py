"""What every page has at hand: the store, the settings, who asks; and how it refuses."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from worker.console.store import Store, StoreError, log
from worker.console.web.access import Access, Person, Role
from worker.console.web.limits import RateLimit
from worker.console.web.settings import WebSettings
from worker.logs import logger
from worker.settings import Settings

CSRF_COOKIE, CSRF_FIELD, CSRF_HEADER = "proguard_csrf", "csrf", "x-csrf-token"
_LOGINS_PER_MINUTE = 10


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


class Refused(Exception):
    """A request that gets no answer but this one. title and said are for the person."""

    def __init__(self, status: int, title: str, said: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.said = status, title, said


@dataclass
class Console:
    """One console. made_up: its store holds invented data, which every page says.

    fetching: of pictures, once one was asked for (picture_pages.Fetching).
    """

    settings: Settings
    store: Store
    access: Access
    clock: Callable[[], datetime] = utc_now
    made_up: bool = False
    fetching: object | None = None
    requests: RateLimit = field(init=False)
    logins: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        self.requests = RateLimit(self.settings.console.requests_per_minute)
        self.logins = RateLimit(_LOGINS_PER_MINUTE)

    @property
    def web(self) -> WebSettings:
        """The section of settings that pages need."""
        return self.settings.console

    def note(self, person: Person, what: str, subject: str, **detail: Any) -> None:
        """An entry of the audit log; a store that cannot be written keeps nobody from reading: then our own log."""
        try:
            with self.store.writing() as session:
                log.note(session, self.clock(), person.name, what, subject[:512], detail)
        except StoreError as error:
            logger.warning("the audit log could not be written", extra={"what": what, "why": str(error)})


def console_of(request: Request) -> Console:
    """The console of the application."""
    console: Console = request.app.state.console
    return console


Here = Annotated[Console, Depends(console_of)]


def viewer(request: Request, console: Here) -> Person:
    """Who asks. Raises Refused."""
    if not console.access.speaks_to_us(request):
        raise Refused(421, "This is another host")
    person = console.access.person(request)
    if person is None:
        raise Refused(401, "Log in")
    if not console.requests.take(person.name):
        raise Refused(429, "Too many requests", "Wait a minute.")
    request.state.person = person
    return person


Viewer = Annotated[Person, Depends(viewer)]


def reviewer(person: Viewer) -> Person:
    """Who asks, if they may decide. Raises Refused."""
    return _at_least(person, Role.REVIEWER)


def admin(person: Viewer) -> Person:
    """Who asks, if they may erase. Raises Refused."""
    return _at_least(person, Role.ADMIN)


def _at_least(person: Person, role: Role) -> Person:
    if person.role < role:
        raise Refused(403, "Not allowed", f"This needs the role {role.name.lower()}.")
    return person


Reviewer = Annotated[Person, Depends(reviewer)]
Admin = Annotated[Person, Depends(admin)]


async def posted(request: Request, console: Here) -> dict[str, str]:
    """The fields of a form of ours. Raises Refused where it came from elsewhere, or was made for another browser."""
    if not console.access.is_same_origin(request):
        raise Refused(403, "This form came from another site")
    given = await request.form()
    fields = {name: value for name, value in given.items() if isinstance(value, str)}
    cookie = request.cookies.get(CSRF_COOKIE, "")
    token = fields.pop(CSRF_FIELD, "") or request.headers.get(CSRF_HEADER, "")
    if not cookie or not secrets.compare_digest(cookie.encode("utf-8", "replace"), token.encode("utf-8", "replace")):
        raise Refused(403, "This form has expired", "Load the page again, then repeat what you did.")
    if any("\0" in value for value in fields.values()):
        raise Refused(422, "A field holds a character that no text has (NUL)")
    return fields


Posted = Annotated[dict[str, str], Depends(posted)]


def sent_by_program(request: Request, console: Here) -> None:
    """For the API: what changes something is JSON, which no other site's form can send. Raises Refused."""
    if request.method in ("GET", "HEAD"):
        return
    if not console.access.is_same_origin(request):
        raise Refused(403, "This request came from another site")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "The body must be JSON", "Content-Type: application/json")
