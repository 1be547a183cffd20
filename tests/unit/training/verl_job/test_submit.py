"""What Ray's command is asked, and what its answers mean."""

import pytest

from proguard_core.training.grpo.files import RunError
from proguard_core.training.verl_job.submit import RayJob, newest, read_status, status

JOB = RayJob("http://ray:8265", "proguard-1", ("python", "-m", "verl.trainer.main_ppo", "a=[b,c]"))


def test_the_commands() -> None:
    submission = JOB.submission()
    assert submission[:7] == ["ray", "job", "submit", "--address", "http://ray:8265", "--submission-id", "proguard-1"]
    # Ray's own options first: behind the two dashes everything is the entrypoint's.
    assert submission[submission.index("--") + 1 :] == list(JOB.command)
    assert JOB.following() == ["ray", "job", "logs", "--address", "http://ray:8265", "--follow", "proguard-1"]
    assert JOB.asking() == ["ray", "job", "status", "--address", "http://ray:8265", "proguard-1"]


@pytest.mark.parametrize(
    ("states", "identity", "state"),
    [
        ({}, "proguard-1-1", None),
        ({"proguard-1-1": "RUNNING"}, "proguard-1-1", "RUNNING"),
        ({"proguard-1-1": "FAILED"}, "proguard-1-2", None),
        (
            {"proguard-1-1": "FAILED", "proguard-1-2": "STOPPED", "proguard-1-3": "SUCCEEDED"},
            "proguard-1-3",
            "SUCCEEDED",
        ),
    ],
)
def test_which_attempt_counts(states: dict[str, str], identity: str, state: str | None) -> None:
    attempt, found = newest(JOB, lambda job: states.get(job.identity))
    assert (attempt.identity, found) == (identity, state)


@pytest.mark.parametrize(
    ("code", "said", "state"),
    [
        (0, "Status for job 'proguard-1': RUNNING\nStatus message: Job is currently running.", "RUNNING"),
        (0, "------\nJob 'proguard-1' succeeded\n------", "SUCCEEDED"),
        (0, "Job 'proguard-1' failed", "FAILED"),
        (1, "RuntimeError: Request failed with status code 404: Job proguard-1 does not exist.", None),
    ],
)
def test_how_a_job_stands(code: int, said: str, state: str | None) -> None:
    assert read_status(code, said, RayJob("http://ray:8265", "proguard-1", ("true",))) == state


def test_nobody_answers() -> None:
    with pytest.raises(RunError, match="does not say"):
        read_status(1, "ConnectionError: Failed to connect", RayJob("http://ray:8265", "proguard-1", ("true",)))


def test_no_ray_here() -> None:
    job = RayJob("http://ray:8265", "proguard-1", ("true",), ray="/nowhere/ray")
    with pytest.raises(RunError, match="no command"):
        status(job)
