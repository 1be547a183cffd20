"""Pictures through the console from a real S3: pixels alone, and the worker's caps."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support.console_pages import PROXY, Visitor, cluster
from tests.support.pictures import jpeg, png_bomb
from tests.support.risks import NOW, new_risk
from tests.support.s3_server import S3Server
from worker.console.store import Store, arrivals, log
from worker.console.store.arrivals import Arrivals, Place
from worker.console.web.access import Access
from worker.console.web.app import create_app
from worker.console.web.parts import Console
from worker.settings import load

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
OBJECTS = {
    "fine.jpg": (jpeg(2000, 1000) + b"<html><script>alert(1)</script></html>", 200),
    "drawing.svg": (SVG, 404),
    "bomb.png": (png_bomb(20_000, 20_000), 404),
    "big.jpg": (jpeg() + b"\x00" * 2_000_000, 404),
}


@pytest.mark.timeout(240)
def test_pictures_are_pixels_within_the_caps(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    store = Store(f"sqlite:///{tmp_path / 'risks.db'}", create=True)
    for name, (body, _) in OBJECTS.items():
        s3.client().put_object(Bucket=bucket, Key=name, Body=body)
    images = [{"uri": f"s3://{bucket}/{name}"} for name in (*OBJECTS, "missing.jpg")]
    risk = new_risk(1, "R1", images=images)
    with store.writing() as session:
        session.add(cluster("R1", "Pictures"))
        session.flush()
        arrivals.take(session, Arrivals({risk.risk.risk_id: risk}, offsets={Place("moderation.retraining", 0): (0, 1)}))
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [bucket], "max_bytes": 1_000_000}
    settings = load(None, {"objects": objects, "console": PROXY})
    app = create_app(Console(settings, store, Access(settings.console), clock=lambda: NOW))
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1), raise_server_exceptions=False) as client:
        visitor = Visitor(client, {"X-User": "vera"})
        for n, expected in enumerate([*(status for _, status in OBJECTS.values()), 404]):
            answer = visitor.get(f"/picture?risk=moderation.posts-0-1&n={n}")
            assert answer.status_code == expected, n
            if expected == 200:
                assert answer.headers["content-type"] == "image/jpeg"
                assert b"<script>" not in answer.content
                with Image.open(BytesIO(answer.content)) as shown:
                    assert shown.width * shown.height <= 640_000
        assert visitor.client.get("/picture?risk=moderation.posts-0-1").status_code == 401
    with store.reading() as session:
        assert {(row.who, row.what) for row in log.entries(session).rows} == {("vera", "picture")}
    store.close()
