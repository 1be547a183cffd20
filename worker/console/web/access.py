"""Who is asking, and what they may do: named by a trusted proxy, or logged in with the token of this process."""

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from starlette.requests import Request

from worker.console.web.settings import LOOPBACK, WebSettings

SESSION_COOKIE = "proguard_session"
SESSION_S = 12 * 3600.0
LOCAL_NAME = "local"
_MAX_SESSIONS = 1000
_MAX_NAME = 512
_EVERYBODY = "*"
_BEARER = "bearer "


class Role(IntEnum):
    """Each may do what those before it may: read; decide; erase, and see who did what."""

    VIEWER = 1
    REVIEWER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in."""

    name: str
    role: Role


class Access:
    """Identity and role of requests. token: what the local login asks for; nobody has one behind a proxy."""

    def __init__(self, settings: WebSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._networks = [ipaddress.ip_network(each, strict=False) for each in settings.trusted_proxies]
        self._sessions: dict[str, float] = {}
        self.token = settings.token_secret or secrets.token_urlsafe(24)

    @property
    def is_local(self) -> bool:
        """Whether people log in with the token."""
        return self._settings.user_header is None

    def log_in(self, token: str) -> str | None:
        """A new session for the right token. Its name is always ours, never one that a browser brought along."""
        if not self.is_local or not _same(token, self.token):
            return None
        now = self._clock()
        self._sessions = {name: ends for name, ends in self._sessions.items() if ends > now}
        while len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_urlsafe(32)
        self._sessions[_hash(session)] = now + SESSION_S
        return session

    def log_out(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(_hash(session), None)

    def person(self, request: Request) -> Person | None:
        """Who asks; None: nobody that we know, or somebody without any right."""
        if self.is_local:
            return Person(LOCAL_NAME, Role.ADMIN) if self._has_session(request) else None
        return self._named_by_proxy(request)

    def speaks_to_us(self, request: Request) -> bool:
        """Whether the host asked for is ours: a name that was bent to 127.0.0.1 is none (DNS rebinding)."""
        if not self.is_local:
            return True
        own = {*LOOPBACK, self._settings.host}
        if self._settings.public_url is not None:
            own.add(_host_of(self._settings.public_url.partition("://")[2]))
        return _host_of(request.headers.get("host", "")) in own

    def is_same_origin(self, request: Request) -> bool:
        """Whether a request that changes something comes from our own pages, as far as the browser says."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        if origin is None:
            return True
        if self._settings.public_url is not None:
            return origin == "/".join(self._settings.public_url.split("/")[:3])
        return origin.partition("://")[2] == request.headers.get("host", "")

    def _has_session(self, request: Request) -> bool:
        authorization = request.headers.get("authorization", "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return _same(authorization[len(_BEARER) :].strip(), self.token)
        session = request.cookies.get(SESSION_COOKIE)
        return session is not None and self._sessions.get(_hash(session), 0.0) > self._clock()

    def _named_by_proxy(self, request: Request) -> Person | None:
        header = self._settings.user_header
        if header is None or request.client is None or not self._is_trusted(request.client.host):
            return None
        names = request.headers.getlist(header)
        if len(names) != 1 or not (name := names[0].strip()) or len(name) > _MAX_NAME or not name.isprintable():
            return None
        groups: set[str] = set()
        if self._settings.groups_header is not None:
            given = request.headers.getlist(self._settings.groups_header)
            if len(given) > 1:  # the browser's beside the proxy's
                return None
            groups = {group.strip() for line in given for group in line.split(",")} - {""}
        role = self._role({name, *groups})
        return None if role is None else Person(name, role)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def _role(self, names: set[str]) -> Role | None:
        lists = (
            (Role.ADMIN, self._settings.admins),
            (Role.REVIEWER, self._settings.reviewers),
            (Role.VIEWER, self._settings.viewers),
        )
        return next((role for role, listed in lists if _EVERYBODY in listed or names & set(listed)), None)


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _hash(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()


def _host_of(authority: str) -> str:
    """Without port and brackets."""
    authority = authority.partition("/")[0]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.rpartition(":")[0] or authority if ":" in authority else authority
