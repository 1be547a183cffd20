"""`proguard console --demo-data` as a process: a month of invented history that says so and leaves nothing behind."""

import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.support.console_process import PATIENCE_S, ConsoleProcess

PAGES = (
    "/",
    "/clusters",
    "/clusters/R1",
    "/search?q=parking",
    "/review",
    "/review/post",
    "/guards",
    "/policy",
    "/audit",
)


@pytest.mark.timeout(300)
def test_it_shows_made_up_data_and_takes_it_along_when_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    real = tmp_path / "risks.db"
    tables: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "console": {"port": 0, "store_path": str(real)},
    }
    with ConsoleProcess(tables, tmp_path / "console.log", "--demo-data") as process:
        address = process.logged(r"The console is at (\S+)")
        assert address.startswith("http://127.0.0.1:")
        base, _, token = address.partition("/login?token=")
        assert token
        assert [each.name for each in temporary.glob("proguard-console-*/*.db")] == ["made-up.db"]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with browser.open(address, timeout=PATIENCE_S) as answer:  # the token is a session from here on
            assert answer.url == f"{base}/"
        for page in PAGES:
            with browser.open(base + page, timeout=PATIENCE_S) as answer:
                assert answer.status == 200, page
                assert "<strong>Made-up data.</strong>" in answer.read().decode(), page
        assert process.terminate() == 0
    assert list(temporary.iterdir()) == []
    assert not real.exists()
    assert "Traceback" not in process.log
