"""`proguard evaluate` with a real engine runs to its end; a tiny model's figures mean nothing."""

import json
from pathlib import Path

import pytest

from tests.engines.vllm.guard import ENVIRONMENT, settings
from tests.support.benchmark_samples import write_samples
from worker.commands import evaluate
from worker.settings import load


@pytest.mark.timeout(1800)
def test_the_tables_are_made_of_what_the_engine_says(
    tiny_taught_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    guard = {"engine": "vllm", "model": str(tiny_taught_model), "settings": settings(), "timeout_s": 300.0}
    benchmarks = tuple(str(file) for file in write_samples(tmp_path))
    request = evaluate.Request(benchmarks, ("vllm",), tmp_path / "out", splits=0, limit=8)
    assert evaluate.run(load(None, {"guard": guard}), request, as_json=True) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (line,) = [row for row in report["tables"]["request"] if (row["set"], row["guard"]) == ("posts", "vllm")]
    assert (line["rows"], line["scored"]) == (8, 0), "what it says, and no score of its own"
    assert {row["guard"] for row in report["tables"]["category"]} > {"vllm"}
    answers = [json.loads(row) for row in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert len(answers) >= 8 + 4
    assert (tmp_path / "out" / "report.html").stat().st_size > 0
    assert json.loads(capsys.readouterr().out)["guards"]
