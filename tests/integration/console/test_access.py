"""Who may do what, by page and by API; forms of other sites; sessions; stores that cannot be written."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.console_pages import seed, visiting
from worker.console.store import Store, log
from worker.console.web.access import SESSION_COOKIE
from worker.console.web.parts import CSRF_COOKIE

CONFIRM = {"decision": "confirm", "name": "Ticket touting", "version": "1"}
FORMS: tuple[tuple[str, dict[str, str], int], ...] = (
    ("/clusters/R2/decide", CONFIRM, 303),
    ("/clusters/R5/snooze", {"days": "7"}, 303),
    ("/clusters/R5/plan", {"version": "1", "severity": "high", "owner": "ann", "due": "2026-12-24"}, 303),
    ("/review/post", {"post": "1", "label": "safe"}, 303),
    ("/risk/decide", {"risk": "moderation.posts-0-21", "decision": "wrong"}, 303),
)
CALLS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("POST", "/api/clusters/R2/decisions", {"decision": "confirm", "name": "Ticket touting", "version": 1}, 201),
    ("POST", "/api/clusters/R5/snooze", {"days": 7}, 200),
    ("PUT", "/api/clusters/R5/plan", {"severity": "high"}, 200),
    ("POST", "/api/queue/next", {}, 200),
)


@pytest.fixture
def filled(store: Store) -> Store:
    seed(store)
    return store


@pytest.mark.parametrize(("address", "fields", "status"), FORMS)
def test_forms_are_for_reviewers(filled: Store, address: str, fields: dict[str, str], status: int) -> None:
    with visiting(filled, "vera") as viewer:
        assert viewer.post(address, **fields).status_code == 403
        assert "Confirm as a new category" not in viewer.get("/clusters/R2").text
    with visiting(filled, None) as nobody:
        assert nobody.post(address, **fields).status_code == 401
    with visiting(filled, "rita") as reviewer:
        assert reviewer.post(address, **fields).status_code == status
        assert reviewer.post("/erase", author="author-20").status_code == 403
        assert reviewer.get("/audit").status_code == 403


@pytest.mark.parametrize(("method", "address", "body", "status"), CALLS)
def test_the_api_has_the_same_rights(
    filled: Store, method: str, address: str, body: dict[str, Any], status: int
) -> None:
    for name, expected in (("vera", 403), (None, 401), ("rita", status)):
        with visiting(filled, name) as visitor:
            answer = visitor.send(address, body, method)
            assert answer.status_code == expected, answer.text
            assert visitor.send("/api/erase", {"author_id": "x"}).status_code == (401 if name is None else 403)


def test_admins_erase_and_see_who_did_what(filled: Store) -> None:
    with visiting(filled, "ada", groups="others, safety-leads") as admin:
        assert "1 risks" in admin.post("/erase", author="author-20").text
        assert admin.send("/api/erase", {"post_id": "post-21"}).json() == {"risks": 1, "queued": 0}
        assert admin.send("/api/erase", {}).status_code == 422
        assert admin.post("/erase").status_code == 422
        assert "erase_author" in admin.get("/audit").text
        assert "author-20" not in admin.get("/audit").text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-User": ""},
        {"X-User": "a" * 600},
        {"X-User": "rita\t\x7f"},
    ],
)
def test_nobody_is_somebody_by_accident(filled: Store, headers: dict[str, str]) -> None:
    with visiting(filled, None) as visitor:
        visitor.headers = headers
        for address in ("/", "/clusters/R2", "/api/clusters", "/export/clusters.csv", "/api/openapi.json", "/picture"):
            assert visitor.get(address).status_code == 401, address
    with visiting(filled, None) as visitor:
        twice = [("X-User", "vera"), ("X-User", "rita")]
        assert visitor.client.get("/", headers=twice).status_code == 401
        groups = [("X-User", "vera"), ("X-Groups", "safety-leads"), ("X-Groups", "viewers")]
        assert visitor.client.get("/", headers=groups).status_code == 401


def test_a_header_of_an_untrusted_peer_is_not_believed(filled: Store) -> None:
    with visiting(filled, "rita", trusted_proxies=["10.0.0.0/8"]) as visitor:
        assert visitor.get("/").status_code == 401
    with visiting(filled, "vera", viewers=["someone"]) as visitor:
        assert visitor.get("/").status_code == 401


def test_forms_of_other_sites_do_nothing(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        visitor.get("/")
        token = visitor.client.cookies[CSRF_COOKIE]
        own = {**visitor.headers, "origin": "http://127.0.0.1"}
        address, good = "/clusters/R2/decide", {**CONFIRM, "csrf": token}
        for headers, fields in (
            (visitor.headers, CONFIRM),
            (visitor.headers, {**CONFIRM, "csrf": "wrong"}),
            ({**visitor.headers, "origin": "https://elsewhere.example"}, good),
            ({**visitor.headers, "origin": "null"}, good),
            ({**visitor.headers, "sec-fetch-site": "cross-site"}, good),
        ):
            assert visitor.client.post(address, data=fields, headers=headers).status_code == 403
        body = '{"decision": "reject", "version": 1}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            headers = {**visitor.headers, "content-type": kind}
            answer = visitor.client.post("/api/clusters/R2/decisions", content=body, headers=headers)
            assert answer.status_code == 415
        assert visitor.client.post(address, data=good, headers=own).status_code == 303


def test_the_local_login_makes_a_new_session_and_no_other_host_is_answered(filled: Store) -> None:
    local: dict[str, Any] = {"user_header": None, "token_secret": "a-token-of-this-test"}
    with visiting(filled, None, **local) as visitor:
        visitor.client.cookies.set(SESSION_COOKIE, "chosen-by-somebody-else")
        assert visitor.get("/").status_code == 401
        assert visitor.get("/login?token=wrong").status_code == 401
        answer = visitor.get("/login?token=a-token-of-this-test")
        assert answer.status_code == 303
        cookies = answer.headers.get_list("set-cookie")
        assert all("HttpOnly" in each and "SameSite" in each for each in cookies)
        assert "chosen-by-somebody-else" not in str(cookies)
        session = answer.cookies[SESSION_COOKIE]
        visitor.client.cookies.clear()
        visitor.client.cookies.set(SESSION_COOKIE, session)
        assert visitor.get("/").status_code == 200
        assert visitor.get("/", host="attacker.example").status_code == 421
        assert visitor.post("/logout").status_code == 303
        visitor.client.cookies.set(SESSION_COOKIE, session)
        assert visitor.get("/").status_code == 401
        assert visitor.get("/api/clusters", authorization="Bearer a-token-of-this-test").status_code == 200
        assert visitor.get("/api/clusters", authorization="Bearer b").status_code == 401
        for _ in range(12):
            last = visitor.get("/login?token=guess").status_code
        assert last == 429


def test_too_many_requests_are_refused(filled: Store) -> None:
    with visiting(filled, "vera", requests_per_minute=3) as visitor:
        assert [visitor.get("/clusters").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_bodies_are_small_and_say_their_size(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.post("/clusters/R2/decide", note="x" * 300_000, **CONFIRM).status_code == 413
        chunked = visitor.client.post("/api/queue/next", content=iter([b"{}"]), headers=visitor.headers)
        assert chunked.status_code == 411


def test_a_store_that_cannot_be_written_is_read_and_says_so(postgres: object, tmp_path: Path) -> None:
    path = tmp_path / "risks.db"
    store = Store(f"sqlite:///{path}", create=True)
    seed(store)
    store.close()
    closed = Store(f"sqlite:///file:{path}?mode=ro&uri=true")
    with visiting(closed, "rita") as visitor:
        assert visitor.get("/clusters/R2").status_code == 200
        assert visitor.get("/export/clusters.csv").status_code == 200
        refused = visitor.post("/clusters/R2/decide", **CONFIRM)
        assert refused.status_code == 503
        assert "cannot be written, nothing is lost" in refused.text
    closed.close()


def test_exports_are_in_the_audit_log(filled: Store) -> None:
    with visiting(filled, "vera") as visitor:
        visitor.get("/export/clusters/R2.csv")
    with filled.reading() as session:
        entries = [(row.who, row.what, row.subject) for row in log.entries(session).rows]
    assert ("vera", "export", "R2") in entries
