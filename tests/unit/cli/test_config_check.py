"""`config check` says everything that is wrong at once, and asks nobody offline."""

from pathlib import Path
from typing import Any

import pytest

from worker.commands.config_check import check
from worker.settings import read

SCRIPTED: dict[str, Any] = {"engine": "tests.support.guards:scripted"}


class Checked:
    """What was said of settings."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, online: bool = False, **sections: Any) -> int:
        kafka = {"bootstrap_servers": "127.0.0.1:1"}
        given: dict[str, Any] = {"kafka": kafka, "guard": SCRIPTED, **sections}
        code = check(read(overrides=given), online, 0.0)
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Checked:
    return Checked(capsys)


def test_what_is_right_is_said_and_no_broker_is_spoken_of(checked: Checked) -> None:
    assert checked() == 0
    assert [line.partition(":")[0] for line in checked.out.splitlines()] == ["settings", "policy", "guard"]
    assert checked.err == ""


def test_wrong_settings_a_wrong_policy_and_a_wrong_guard_hide_nothing_of_each_other(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGUARD_TELEMTRY__PORT", "1")
    assert checked(policy={"path": "nopol.yaml"}, guard={"engine": "opanai"}, batching={"max_posts": "x"}) == 78
    for said in ("did you mean PROGUARD_TELEMETRY__PORT", "batching.max_posts", "policy: nopol.yaml", "'opanai'"):
        assert said in checked.err
    assert "ok" not in checked.out


def test_what_stands_in_a_wrong_section_is_not_looked_at(checked: Checked) -> None:
    assert checked(guard={"engine": "opanai", "modl": "x"}) == 78
    assert "did you mean guard.model" in checked.err
    assert "opanai" not in checked.err
    assert "guard: ok" not in checked.out


def test_a_rule_between_sections_hides_no_guard(checked: Checked) -> None:
    assert checked(guard={"engine": "opanai"}, telemetry={"live_timeout_s": 25}) == 78
    assert "\n  telemetry.live_timeout_s must be above" in checked.err
    assert "opanai" in checked.err


@pytest.mark.parametrize("engine", ["embedded", "no.such.module:guard"])
def test_a_trainer_that_does_not_teach_the_guard_is_told(engine: str, checked: Checked) -> None:
    assert checked(guard={"engine": engine}, retraining={"trainer": "grpo"}) == 78
    assert (
        f"retraining.trainer = 'grpo' teaches guard.engine = 'openai' or 'vllm' or 'transformers', not '{engine}'"
        in (checked.err)
    )


def test_a_trainer_that_nobody_named_is_none_of_a_workers_business(checked: Checked) -> None:
    assert checked(guard={"engine": "openai", "model": "m", "base_urls": ["http://127.0.0.1:1"]}) == 0


def test_files_and_folders_that_this_machine_lacks_are_warnings(checked: Checked, tmp_path: Path) -> None:
    """The settings may be for another machine."""
    rows = tmp_path / "rows.jsonl"
    rows.touch()
    wanting = {"replay": ["/nope.jsonl"], "gate_rows": [str(rows)]}
    assert checked(kafka={"state_dir": "/proc/x", "bootstrap_servers": "127.0.0.1:1"}, retraining=wanting) == 0
    assert "warning: kafka.state_dir: /proc/x cannot be written" in checked.err
    assert "warning: retraining.replay: there is no file /nope.jsonl" in checked.err
    assert "gate_rows" not in checked.err


def test_a_state_folder_that_is_still_to_be_made_is_right_and_not_made(checked: Checked, tmp_path: Path) -> None:
    folder = tmp_path / "to" / "be" / "made"
    assert checked(kafka={"state_dir": str(folder), "bootstrap_servers": "127.0.0.1:1"}) == 0
    assert (checked.err, list(tmp_path.iterdir())) == ("", [])


def test_a_severe_code_of_no_policy_is_told_with_those_there_are(checked: Checked) -> None:
    assert checked(console={"severe": ["C9", "C77"]}) == 78
    assert "console.severe: C77: no such code; the policy has C1, C1S1" in checked.err


def test_a_severe_code_that_the_policy_adds_or_leaves_out_is_right(checked: Checked, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    entry = "{{code: {}, {}: {}, description: What it covers., synonymous-phrase: [one phrase]}}"
    policy.write_text(
        f"name: mine\ncategories:\n  - {entry.format('C12', 'category', 'Match Fixing')}\n"
        f"  - {entry.format('C11', 'category', 'Sexual Exposure')[:-1]}, subcategories: "
        f"[{entry.format('C11S1', 'name', 'Inappropriate Exposure of Minors')}]}}\n"
    )
    code = checked(policy={"path": str(policy)}, console={"severe": ["C12", "C9"]})
    assert (code, checked.err) == (0, "")


def test_s3_is_asked_although_the_settings_of_kafka_are_wrong(checked: Checked) -> None:
    assert checked(online=True, kafka={"slot": -1}) == 78
    assert "the broker is not asked: kafka must be right before" in checked.err
    assert "objects.buckets is empty" in checked.err


def test_what_is_wrong_offline_does_not_keep_the_broker_from_being_asked(checked: Checked) -> None:
    assert checked(online=True, policy={"path": "nopol.yaml"}) == 78
    assert "policy: nopol.yaml" in checked.err
    assert "no broker answers at 127.0.0.1:1" in checked.err


def test_a_setting_that_a_client_ignores_is_told(caplog: pytest.LogCaptureFixture, checked: Checked) -> None:
    assert checked(kafka={"bootstrap_servers": "127.0.0.1:1", "consumer": {"linger.ms": "5"}}) == 0
    assert [record.getMessage()[:8] for record in caplog.records] == ["CONFWARN"]
