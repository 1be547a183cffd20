"""The URL of a store: which folder is made for a file of this machine, and what is said of one that is no store."""

import logging
from pathlib import Path

import pytest

from worker.console.store import Store
from worker.console.store.engine import open_engine
from worker.errors import ConfigurationError


def test_a_plain_path_gets_its_folder_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        open_engine("sqlite:///kept/below/risks.db").dispose()
        open_engine("sqlite:///kept/below/risks.db").dispose()
    assert [record.getMessage() for record in caplog.records] == ["made the folder kept/below for the risk store"]
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["kept", "kept/below"]


@pytest.mark.parametrize(
    "url", ["sqlite:///file:{}/new/risks.db?mode=ro&uri=true", "sqlite:///file:new/risks.db?uri=true"]
)
def test_what_sqlite_reads_as_a_uri_gets_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_engine(url.format(tmp_path)).dispose()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named_with_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "junk.db"
    file.write_bytes(b"somebody's notes" * 100)
    with pytest.raises(ConfigurationError, match=rf"^console\.store_path: {file} is no file of SQLite's$"):
        Store(f"sqlite:///{file}", create=True)
    assert file.read_bytes() == b"somebody's notes" * 100


def test_what_is_no_url_is_answered_with_the_form_of_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"console\.store_url_secret is not of the form postgresql\+psycopg://"
    ):
        open_engine("garbage")
