"""The URL of a store that is a file of this machine: which folder is made for it."""

from pathlib import Path

import pytest

from worker.console.store.engine import open_engine


def test_a_plain_path_gets_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_engine("sqlite:///kept/below/risks.db").dispose()
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["kept", "kept/below"]


@pytest.mark.parametrize(
    "url", ["sqlite:///file:{}/new/risks.db?mode=ro&uri=true", "sqlite:///file:new/risks.db?uri=true"]
)
def test_what_sqlite_reads_as_a_uri_gets_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_engine(url.format(tmp_path)).dispose()
    assert list(tmp_path.iterdir()) == []
