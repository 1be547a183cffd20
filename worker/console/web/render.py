"""From a template to a page. Whatever a stranger wrote is escaped; nothing of a post is ever taken for HTML."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from worker.console.web.access import Role
from worker.console.web.parts import CSRF_COOKIE, Console, console_of

_SHORT = 140
# Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9): they reach beyond the name they stand in.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


@cache
def environment() -> jinja2.Environment:
    """The templates of the package."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("worker.console.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "when": _when,
        "day": _day,
        "percent": percent,
        "short": short,
        "code": named_code,
        "times": times,
    }
    made.globals |= {"query": query, "Role": Role}
    return made


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """The page of a template, with what all pages need. It brings a token along for the forms on it."""
    console = console_of(request)
    token = request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)
    person = getattr(request.state, "person", None)
    body = (
        environment()
        .get_template(f"{template}.html.jinja")
        .render(
            **context,
            csrf=token,
            person=person,
            may_review=person is not None and person.role >= Role.REVIEWER,
            may_erase=person is not None and person.role >= Role.ADMIN,
            made_up=console.made_up,
            is_local=console.access.is_local,
            here=request.url.path,
            part=request.headers.get("hx-request") == "true" and "hx-history-restore-request" not in request.headers,
        )
    )
    answer = HTMLResponse(body, status)
    if CSRF_COOKIE not in request.cookies:
        set_cookie(answer, request, console, CSRF_COOKIE, token, "strict")
    return answer


def set_cookie(answer: Any, request: Request, console: Console, name: str, value: str, same_site: str) -> None:
    """A cookie that no script reads; over https only where the console is reached so."""
    https = request.url.scheme == "https" or (console.web.public_url or "").startswith("https://")
    answer.set_cookie(name, value, httponly=True, samesite=same_site, secure=https, path="/")


def query(**values: Any) -> str:
    """`?a=1&b=2`, without what is empty; empty where nothing is left."""
    kept = {name: value for name, value in values.items() if value not in (None, "", False)}
    return f"?{urlencode(kept)}" if kept else ""


def short(text: str | None, most: int = _SHORT) -> str:
    """At most so many characters, on one line, none of which turns round what stands beside it on the page."""
    line = _TURNING.sub("\ufffd", " ".join((text or "").split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def named_code(code: str | None, names: Mapping[str, str] | None = None) -> str:
    """`C3S1 Fraud and Scams`."""
    if code is None:
        return "–"
    name = (names or {}).get(code) or CATEGORY_NAMES.get(code) or SUBCATEGORY_NAMES.get(code)
    return f"{code} {name}" if name else code


def times(ratio: float) -> str:
    """How many times more: `4.2×`; without a past it has no end."""
    return f"{ratio:.1f}×" if ratio < 1000 else "∞"


def percent(share: float | None) -> str:
    """`4.2 %`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _when(time: datetime | None) -> str:
    return "–" if time is None else f"{time:%Y-%m-%d %H:%M} UTC"


def _day(time: datetime | None) -> str:
    return "–" if time is None else f"{time:%Y-%m-%d}"
