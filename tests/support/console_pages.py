"""A console on a small store, and people who ask it, for tests of its pages and API."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.support.risks import NOW, new_risk, unit
from worker.console.mining.intake import Batch, Intake, Read
from worker.console.store import Store, arrivals, reading
from worker.console.store.arrivals import Arrivals, Place
from worker.console.store.models import ClusterDayRow, ClusterRow, ClusterState, QueueRow, Stratum
from worker.console.web.access import Access
from worker.console.web.app import create_app
from worker.console.web.parts import CSRF_COOKIE, Console
from worker.settings import Settings, load

SCRIPT = "<script>alert(1)</script>"
NASTY = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "'; DROP TABLE risks; --",
)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1")
PROXY = {
    "user_header": "X-User",
    "groups_header": "X-Groups",
    "trusted_proxies": ["127.0.0.1"],
    "reviewers": ["rita", "ron"],
    "admins": ["safety-leads"],
}


def cluster(cluster_id: str, name: str, **changed: Any) -> ClusterRow:
    """A cluster as mining leaves it."""
    facts: dict[str, Any] = {
        "centroid": unit(int(cluster_id[1:])),
        "created_at": NOW - timedelta(days=3),
        "first_seen": NOW - timedelta(days=3),
        "last_seen": NOW,
        "size": 3,
        "authors": 3,
        "nearest_code": "C3S1",
        "nearest_similarity": 0.5,
        "modalities": {"text": 3},
        "languages": {"en": 3},
        "words": ["price"],
    }
    return ClusterRow(id=cluster_id, name=name, **{**facts, **changed})


def seed(store: Store) -> None:
    """R1: whatever strangers write. R2: usual, emerging. R3: gone into R2. R4: near to minors. R5: severe. R6: long."""
    with store.writing() as session:
        rows = [
            cluster("R1", SCRIPT, words=list(NASTY)),
            cluster("R2", "Ticket touting", emerging=True, burst_ratio=4.0, burst_low=2.0, burst_high=float("inf")),
            cluster("R3", "Old name", state=ClusterState.GONE, successor="R2"),
            cluster("R4", "not to be read", nearest_code="C11S1", emerging=True),
            cluster("R5", "A fight", nearest_code="C9S3"),
            cluster("R6", "x" * 10_000),
            *(cluster(f"R{70 + at}", name) for at, name in enumerate(FORMULAS)),
        ]
        session.add_all(rows)
        session.flush()
        session.add(ClusterDayRow(cluster_id="R2", day="2026-11-25", revision=SCRIPT, risks=3, authors=3))
        risks = [
            *(
                new_risk(at, "R1", name=nasty, text=nasty, rationale=nasty, post_id=nasty, author_id=nasty)
                for at, nasty in enumerate(NASTY, 1)
            ),
            *(new_risk(at, "R2", images=[{"uri": f"s3://pictures/{SCRIPT}.png"}]) for at in (20, 21, 22)),
            new_risk(40, "R4", text="not to be read either"),
            new_risk(50, "R5", nearest="C9S3", text="a hard text"),
            new_risk(60, "R6", name="y" * 120),
            *(new_risk(70 + at, f"R{70 + at}", text=text) for at, text in enumerate(FORMULAS)),
        ]
        by_id = {each.risk.risk_id: each for each in risks}
        seen = {"r1": ("guard", NOW - timedelta(days=1), NOW)}
        arrivals.take(session, Arrivals(by_id, seen=seen, offsets={Place("moderation.retraining", 0): (0, 99)}))
        session.add(_queued())


def _queued() -> QueueRow:
    return QueueRow(
        verdict_id="v1",
        post_id="sampled",
        stratum=Stratum.SAFE,
        judged_at=NOW,
        order_key="0",
        draw=0.001,
        revision="r1",
        modality="text",
        source_topic="moderation.posts",
        source_partition=0,
        source_offset=1,
        fetched_at=NOW,
        text=f"sampled {SCRIPT}",
    )


def read_in(verdicts: Iterable[bytes], **console: Any) -> Batch:
    """What mining makes of verdicts' records before it writes."""
    settings, batch = settings_of(**console), Batch()
    intake = Intake(settings.topics, settings.console)
    for at, value in enumerate(verdicts):
        intake.add(batch, Read(settings.topics.verdicts, 0, at, None, value, 0))
    assert not batch.problems
    return batch


def settings_of(policy: Path | None = None, **console: Any) -> Settings:
    """Kafka is away. policy: a file, else the shipped one."""
    own = {} if policy is None else {"policy": {"path": policy}}
    return load(None, {"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "console": {**PROXY, **console}, **own})


class Visitor:
    """One person's browser."""

    def __init__(self, client: TestClient, headers: dict[str, str] | None = None) -> None:
        self.client = client
        self.headers = headers or {}

    def get(self, address: str, **more: Any) -> Any:
        """A page."""
        return self.client.get(address, headers={**self.headers, **more})

    def post(self, address: str, **fields: Any) -> Any:
        """A form of ours, as the page before it brought it."""
        if CSRF_COOKIE not in self.client.cookies:
            self.get("/clusters")
        sent = {"csrf": self.client.cookies.get(CSRF_COOKIE), **fields}
        return self.client.post(address, data=sent, headers=self.headers)

    def send(self, address: str, body: object, method: str = "POST") -> Any:
        """To the API."""
        return self.client.request(method, address, json=body, headers=self.headers)


@contextmanager
def visiting(
    store: Store, name: str | None = "vera", groups: str = "", now: datetime = NOW, **console: Any
) -> Iterator[Visitor]:
    """A console on the store, and somebody whom the proxy names. console: its settings, and the policy's file."""
    made = Console(settings_of(**console), store, Access(settings_of(**console).console), clock=lambda: now)
    headers = {} if name is None else {"X-User": name, "X-Groups": groups}
    with TestClient(
        create_app(made),
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50_000),
        follow_redirects=False,
        raise_server_exceptions=False,
    ) as client:
        yield Visitor(client, headers)


def row_of(store: Store, cluster_id: str = "R2") -> ClusterRow:
    """A cluster that is there."""
    with store.reading() as session:
        row = reading.cluster(session, cluster_id)
        assert row is not None
        return row
