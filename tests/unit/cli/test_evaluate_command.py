"""`evaluate`: files in, report out; several guards, pictures, what is wrong, what a repeated command does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.guards import RED
from worker import cli
from worker.commands import evaluate
from worker.commands.evaluate import Request, guard_settings
from worker.errors import ConfigurationError, WorkerError
from worker.settings import Settings, load

SCRIPTED = "tests.support.guards:scripted"


def settings(**guard: Any) -> Settings:
    return load(None, {"guard": {"engine": SCRIPTED, "settings": guard}, "batching": {"max_posts": 8}})


def rows_file(folder: Path, number: int = 40) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": f"s{at}", "request": f"fine {at}", "request_label": "safe"} for at in range(number // 2)
    ]
    codes = ("C1S1", "C4S1", "C8S1", "C8S2")
    for at in range(number // 2):
        code = codes[at % 4]
        said = f"unsafe:{code}" if at % 5 else "unsafe:C2S1"
        rows.append({"id": f"u{at}", "request": f"{said} {at}", "request_label": "unsafe", "category": code})
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def request(folder: Path, *benchmarks: Path, **more: Any) -> Request:
    given: dict[str, Any] = {"guards": (), "splits": 0, **more}
    return Request(benchmarks=tuple(map(str, benchmarks)), out=folder / "out", **given)


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return found


def line(report: dict[str, Any], table: str, guard: str = SCRIPTED) -> dict[str, Any]:
    return next(each for each in report["tables"][table] if each["guard"] == guard)


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.run(settings(), request(tmp_path, rows_file(tmp_path)), as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    report = report_of(tmp_path)
    assert printed["guards"] == report["guards"]
    assert line(report, "request")["weighted_f1"]["value"] == 1.0
    assert line(report, "category")["accuracy"]["value"] == 0.8
    assert {each["guard"] for each in report["tables"]["request"]} == {
        SCRIPTED, "always safe", "always unsafe", "always novel",
    }  # fmt: skip
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


def test_the_same_command_asks_nothing_again(tmp_path: Path) -> None:
    log = tmp_path / "asked.txt"
    for _ in range(2):
        evaluate.run(settings(log_file=str(log)), request(tmp_path, rows_file(tmp_path)), as_json=True)
        assert len(log.read_text().splitlines()) == 40


def test_a_guard_that_fails_half_way_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down, log = tmp_path / "down", tmp_path / "asked.txt"
    monkeypatch.setattr("worker.commands.evaluate_guard.PATIENCE_S", 0.2)
    monkeypatch.setattr("worker.commands.evaluate_guard._LOOK_EVERY_S", 0.05)
    file = rows_file(tmp_path)
    evaluate.run(settings(log_file=str(log)), request(tmp_path, file, limit=10), as_json=True)
    down.touch()
    own = settings(log_file=str(log), down_file=str(down))
    with pytest.raises(WorkerError, match=r"stopped: it is down for .* the same command goes on"):
        evaluate.run(own, request(tmp_path, file), as_json=True)
    down.unlink()
    evaluate.run(own, request(tmp_path, file), as_json=True)
    asked = log.read_text().splitlines()
    assert len(asked) == len(set(asked)) == 40
    assert line(report_of(tmp_path), "request")["rows"] == 40


def test_pictures_lie_beside_the_file_and_missing_ones_are_named(tmp_path: Path) -> None:
    for name, colour in (("red", RED), ("blue", (0, 0, 255))):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    rows = [
        {"id": "1", "modality": "image", "images": ["red.png"], "request_label": "unsafe", "category": "C3S1"},
        {"id": "2", "modality": "image", "images": ["blue.png"], "request_label": "safe"},
        {"id": "3", "modality": "image", "images": ["lost.png"], "request_label": "safe"},
        {"id": "4", "modality": "image", "images": ["../outside.png"], "request_label": "safe"},
    ]
    file = tmp_path / "pictures.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert evaluate.run(settings(), request(tmp_path, file), as_json=True) == 0
    report = report_of(tmp_path)
    assert line(report, "request")["confusion"] == {"tp": 1, "fp": 0, "tn": 1, "fn": 0}
    named = {each["problem"]: each["for_example"] for each in report["benchmarks"][0]["problems"]}
    assert named == {
        "a picture cannot be had: image_missing (left out)": ["3"],
        "a picture cannot be had: image_forbidden (left out)": ["4"],
    }


def test_without_a_terminal_progress_and_what_was_wrong_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.commands.evaluate_progress.LOG_EVERY_S", 0.0)
    file = rows_file(tmp_path)
    with file.open("a") as rows:
        rows.write("{}\n")
    with caplog.at_level("INFO", logger="proguard.evaluate"):
        evaluate.run(settings(), request(tmp_path, file), as_json=True)
    said = [record.getMessage() for record in caplog.records]
    assert said[-2:] == ["judged 40 of 40 rows", "mine: no id: 1"]
    assert len(said) > 2
    assert vars(caplog.records[-1])["for_example"] == ["line 41"]


def test_several_guards_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.toml"
    words = '[guard.settings.words]\n"unsafe:c8" = "C8S1"\n'
    other.write_text(f'[guard]\nengine = "tests.support.word_list_guard:WordListGuard"\n{words}')
    wanted = request(tmp_path, rows_file(tmp_path), guards=(SCRIPTED, str(other)), compare=(SCRIPTED, "other"))
    assert evaluate.run(settings(), wanted, as_json=True) == 0
    lines = json.loads(capsys.readouterr().out.splitlines()[-1])["lines"]
    assert [(each["question"], each["larger_than_chance"]) for each in lines] == [("request", True), ("category", True)]
    assert [guard["label"] for guard in report_of(tmp_path)["guards"]] == [SCRIPTED, "other"]
    alone = Request((), (), tmp_path / "out", compare=(f"{tmp_path / 'out'}:other", f"{tmp_path / 'out'}:other"))
    assert evaluate.run(settings(), alone, as_json=True) == 0


def test_withheld_categories(tmp_path: Path) -> None:
    """The scripted guard goes on naming a withheld code, which nobody listed: no risk is found to be new."""
    wanted = request(tmp_path, rows_file(tmp_path), splits=2, untrained=frozenset({"C1"}))
    evaluate.run(settings(), wanted, as_json=True)
    table = report_of(tmp_path)["tables"]["novel_detection"]
    own = [each for each in table if each["guard"] == SCRIPTED]
    assert [(each["withheld_from"], each["f1"]["value"]) for each in own]
    assert all(each["withheld_share"] <= 0.25 and each["f1"]["value"] == 0.0 for each in own)
    always = next(each for each in table if each["guard"] == "always novel")
    assert always["recall"]["value"] == 1.0
    assert report_of(tmp_path)["encoder"].startswith("all-MiniLM")


def test_a_released_checkpoint_with_other_prompts_warns(tmp_path: Path) -> None:
    own = settings()
    own = own.model_copy(update={"guard": own.guard.model_copy(update={"model": "yushaohan/ProGuard-7B"})})
    evaluate.run(own, request(tmp_path, rows_file(tmp_path)), as_json=True)
    (warning,) = report_of(tmp_path)["guards"][0]["warnings"]
    assert "was trained on the authors' prompts" in warning
    assert "was trained on the authors" in (tmp_path / "out" / "report.html").read_text()


def test_which_keys_a_guard_takes(tmp_path: Path) -> None:
    set_for_vllm = load(None, {"guard": {"engine": "vllm", "model": "tiny"}})
    assert guard_settings(set_for_vllm, "embedded")[1].guard.model is None
    assert guard_settings(set_for_vllm, "vllm")[1].guard.model == "tiny"
    assert guard_settings(load(None, {"guard": {"model": "tiny"}}), "vllm")[1].guard.model == "tiny"
    file = tmp_path / "big.toml"
    file.write_text('[guard]\nengine = "openai"\nmodel = "m"\n')
    label, own = guard_settings(set_for_vllm, str(file))
    assert (label, own.guard.engine) == ("big", "openai")
    for content, why in (
        ("[guard]\nnothing = 1\n", r"big\.toml\) are wrong:\n  guard\.nothing: there is no such setting"),
        ("[guard]\nmax_attempts = 'x'\n", r"big\.toml\) are wrong:\n  guard\.max_attempts: [^\n]*$"),
        ("[guard", r"big\.toml: Expected ']'"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigurationError, match=why):
            guard_settings(set_for_vllm, str(file))
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        guard_settings(set_for_vllm, str(tmp_path / "none.toml"))


def test_what_cannot_be_evaluated_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"--compare: .*no answers"):
        evaluate.run(settings(), Request((), (), tmp_path, compare=("a", "b")), as_json=True)


def test_a_folder_of_no_answers_and_a_wrong_name_say_so(tmp_path: Path) -> None:
    for name, text in (("empty", ""), ("odd", "[1]\n"), ("half", '{"guard": "a"}\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "answers.jsonl").write_text(text)
        with pytest.raises(WorkerError, match=r"--compare: .*(answered no row|none of an evaluation)"):
            evaluate.run(settings(), Request((), (), tmp_path, compare=(str(tmp_path / name), "b")), as_json=True)
    with pytest.raises(WorkerError, match="nowhere is no folder of an earlier run"):
        evaluate.run(settings(), Request((), (), tmp_path, compare=("nowhere", "b")), as_json=True)


def _wrong(folder: Path) -> dict[str, tuple[list[str], str]]:
    """What is asked for, and what is said of it."""
    file = str(rows_file(folder, 4))
    (folder / "unlabelled.jsonl").write_text('{"id": "1", "request": "x"}\n')
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "file").touch()
    return {
        "no such file": (["--benchmark", str(folder / "none.jsonl")], "none.jsonl: No such file"),
        "no such file of a set": (["--benchmark", f"xstest={folder / 'none.csv'}"], "none.csv: No such file"),
        "a folder": (["--benchmark", str(folder)], "s a "),
        "a folder for a set": (["--benchmark", f"xstest={folder}"], "is a folder"),
        "no label": (["--benchmark", str(folder / "unlabelled.jsonl")], "no label (left out): 1 (1)"),
        "another form": (["--benchmark", f"xstest={folder / 'other.csv'}"], "has the form of XSTest: no type"),
        "no such set": (["--benchmark", f"nothing={folder / 'x.csv'}"], "nothing is none of the sets aegis-2.0"),
        "no such category": (["--benchmark", file, "--untrained", "C77"], "C77 is no main category"),
        "minors": (["--benchmark", file, "--untrained", "C11"], "C11 is never withheld"),
        "nowhere to remember": (["--benchmark", file, "--cache", str(folder / "file" / "kept")], "Not a directory"),
        "nothing to compare with": (["--benchmark", file, "--compare", "a", "b"], "a is neither a guard of this run"),
        "nowhere to write": (["--benchmark", file, "--out", str(folder / "file" / "out")], "Not a directory"),
    }


def test_wrong_usage_is_2_and_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.chdir(tmp_path)
    for case, (arguments, said) in _wrong(tmp_path).items():
        done = CliRunner().invoke(cli.app, ["evaluate", *arguments])
        output = " ".join(done.output.split())
        assert (done.exit_code, said in output) == (2, True), f"{case}: {output}"
        assert not re.search(r"Errno|\[[\'{]|\{[\'\"]", output), case
