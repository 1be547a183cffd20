"""`judge`: one verdict a post, in the order of the file, whatever order batches end in."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from schemas.verdict import Verdict
from worker.commands import judge
from worker.settings import Settings, load


def settings(**guard: Any) -> Settings:
    return load(
        None,
        {
            "guard": {"engine": "tests.support.guards:scripted", "settings": guard},
            "batching": {"max_posts": 4, "max_wait_ms": 1, "in_flight": 4},
        },
    )


def write(folder: Path, posts: list[Any]) -> Path:
    file = folder / "posts.jsonl"
    file.write_text("".join((post if isinstance(post, str) else json.dumps(post)) + "\n" for post in posts))
    return file


def verdicts(capfdbinary: pytest.CaptureFixture[bytes]) -> list[Verdict]:
    return [Verdict.model_validate_json(line) for line in capfdbinary.readouterr().out.splitlines()]


def test_verdicts_come_in_the_order_of_the_posts(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    posts = [{"post_id": str(number), "text": "unsafe:C1S1" if number % 3 == 0 else "fine"} for number in range(600)]
    assert judge.run(settings(jitter_ms=5), write(tmp_path, posts)) == 0
    found = verdicts(capfdbinary)
    assert [verdict.post_id for verdict in found] == [post["post_id"] for post in posts]
    assert [verdict.outcome == "unsafe" for verdict in found] == [number % 3 == 0 for number in range(600)]
    assert [verdict.source.offset for verdict in found] == list(range(600))


def test_lines_that_are_no_posts_are_named_and_the_others_judged(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    posts = [
        "not json",
        {"post_id": "1", "text": "fine"},
        {"post_id": "2"},
        {"post_id": "3", "images": [{"path": "/x"}]},
    ]
    file = write(tmp_path, posts)
    assert judge.run(settings(), file) == 1
    said = capfdbinary.readouterr()
    assert [json.loads(line)["post_id"] for line in said.out.splitlines()] == ["1"]
    errors = said.err.decode().splitlines()
    assert [error.split(": ")[0] for error in errors] == [f"{file}:{number}" for number in (1, 3, 4)]
    assert "not json" not in said.err.decode()


def test_pictures_beside_the_file_are_looked_at(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (40, 30), "blue").save(tmp_path / "pictures" / "sky.png")
    posts = [
        {"post_id": "there", "images": [{"path": "pictures/sky.png"}]},
        {"post_id": "lost", "text": "look", "images": [{"uri": "pictures/none.png"}]},
    ]
    assert judge.run(settings(), write(tmp_path, posts)) == 0
    there, lost = verdicts(capfdbinary)
    assert (there.outcome, there.coverage.images_judged) == ("safe", 1)
    assert (lost.outcome, lost.reason) == ("undetermined", "image_missing")


@pytest.mark.parametrize(("stdout_is_terminal", "shown"), [(False, True), (True, False)])
def test_progress_does_not_run_into_verdicts_on_one_terminal(
    stdout_is_terminal: bool,
    shown: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: stdout_is_terminal)
    assert judge.run(settings(), write(tmp_path, [{"post_id": "1", "text": "fine"}])) == 0
    assert ("posts judged" in capfd.readouterr().err) is shown


def test_an_empty_file_has_no_verdicts(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert judge.run(settings(), write(tmp_path, [])) == 0
    assert verdicts(capfdbinary) == []
