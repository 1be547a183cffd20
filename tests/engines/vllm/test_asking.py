"""What the loop asks of vLLM: a first release that changes nothing, and a challenger, by one engine a policy."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import without
from proguard_core.policy.loader import load_policy
from proguard_core.training.grpo.model import untrained
from proguard_core.training.grpo.settings import GrpoSettings
from schemas.common import Outcome
from tests.engines.grpo import SHORT
from tests.engines.vllm.guard import ENVIRONMENT, settings
from tests.support.tiny_vlm.samples import samples
from tests.unit.dataset.builders import picture
from worker.retraining.asking import ask
from worker.settings import load

POLICY = load_policy()
RELEASE, CHALLENGER = "release-0", "20261126t000000-abcd"


@pytest.mark.timeout(1800)
def test_each_revision_answers_for_itself_and_what_was_answered_is_kept(
    tiny_taught_model: Path, tiny_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    adapters = tmp_path / "adapters"
    untrained(tiny_taught_model, adapters / RELEASE, GrpoSettings.model_validate(SHORT))
    shutil.copytree(tiny_adapter, adapters / CHALLENGER)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one").write_bytes(picture(1))
    rows = [Row(str(at), sample.text) for at, sample in enumerate(samples()) if sample.code is None][:8]
    rows.append(replace(rows[0], id="shown", images=("one",)))
    guard = {"engine": "vllm", "model": str(tiny_taught_model), "settings": settings(adapters), "timeout_s": 300.0}
    own = load(None, {"guard": guard})
    parts = [(POLICY, rows), (without(POLICY, frozenset({"C9"})), rows[:2])]
    said = ask(own, [CHALLENGER, RELEASE], parts, tmp_path / "pictures", tmp_path / "kept")
    assert [len(each) for each in said[RELEASE]] == [len(each) for each in said[CHALLENGER]] == [9, 2]
    # The adapter finds everything unsafe; the release is the taught model, which does not.
    assert all(answer.request is Outcome.UNSAFE for answer in said[CHALLENGER][0].values())
    assert sum(answer.request is Outcome.SAFE for answer in said[RELEASE][0].values()) >= 5
    assert len(list((tmp_path / "kept").iterdir())) == 4, "one file a revision and policy"
