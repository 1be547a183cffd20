"""`ray job submit` and its relatives. Ray's command does the work; what it prints goes through as it comes."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from proguard_core.training.grpo.files import RunError

SUCCEEDED = "SUCCEEDED"
_FAILED = ("FAILED", "STOPPED")
_STATES = ("PENDING", "RUNNING", "STOPPED", SUCCEEDED, "FAILED")
# Not one setting of ours, but what the libraries must not do on a cluster without a network.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class RayJob:
    """address: of the dashboard. identity: the submission id, of all attempts or of one. command: the entrypoint."""

    address: str
    identity: str
    command: tuple[str, ...]
    ray: str = "ray"

    def submission(self) -> list[str]:
        """The command that submits it and follows its log."""
        environment = json.dumps({"env_vars": _ENVIRONMENT})
        options = ["--address", self.address, "--submission-id", self.identity, "--runtime-env-json", environment]
        return [self.ray, "job", "submit", *options, "--", *self.command]

    def following(self) -> list[str]:
        """The command that follows the log of one that was submitted before."""
        return [self.ray, "job", "logs", "--address", self.address, "--follow", self.identity]

    def asking(self) -> list[str]:
        """The command that says how it stands."""
        return [self.ray, "job", "status", "--address", self.address, self.identity]


def run(job: RayJob) -> None:
    """Submit, or follow what was submitted, until it ends. Raises RunError unless it succeeded.

    Where an attempt failed before, the next one is submitted: verl goes on from its last checkpoint.
    """
    attempt, state = newest(job, status)
    if state == SUCCEEDED:
        return
    _call(attempt.submission() if state is None else attempt.following())
    if (state := status(attempt)) != SUCCEEDED:
        raise RunError(f"the job {attempt.identity} ended as {state}: {' '.join(attempt.following())}")


def newest(job: RayJob, asked: Callable[[RayJob], str | None]) -> tuple[RayJob, str | None]:
    """The first attempt that has not failed, and its state; None where it was not submitted yet. asked: see status."""
    for number in count(1):
        attempt = replace(job, identity=f"{job.identity}-{number}")
        if (state := asked(attempt)) not in _FAILED:
            return attempt, state
    raise AssertionError("count() has no end")


def status(job: RayJob) -> str | None:
    """One of Ray's states, None where it knows no such job. Raises RunError where nobody answers."""
    try:
        done = subprocess.run(job.asking(), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RunError(f"there is no command {job.ray!r}: the `verl` extra has it") from None
    return read_status(done.returncode, f"{done.stdout}\n{done.stderr}", job)


def read_status(code: int, said: str, job: RayJob) -> str | None:
    """What `ray job status` meant."""
    if code == 0:
        for line in said.splitlines():
            if job.identity in line:
                for state in _STATES:
                    if state in line.replace(job.identity, ""):
                        return state
        # Ray says nicer words where a job has ended: "Job 'x' succeeded".
        for state in _STATES:
            if f"'{job.identity}' {state.lower()}" in said:
                return state
    if "does not exist" in said:
        return None
    raise RunError(f"Ray at {job.address} does not say how {job.identity} stands: {said.strip()[-300:]}")


def _call(command: Sequence[str]) -> None:
    """To its end, whatever it says: the state is asked for afterwards."""
    subprocess.run(command, check=False)
