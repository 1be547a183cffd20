"""What drains the same backlog on the same broker: our worker, a bare loop, and peers in environments of their own."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proguard_core.guards.protocol import Judgement
from proguard_core.questions import Coverage, combine, plan
from tests.support.processes import start_server
from tests.support.topics import TopicNames
from worker.local.child import Child, free_ports
from worker.moderation.outcome import Judged, OutcomeWriter
from worker.moderation.run import make_policy, make_writer
from worker.settings import Settings

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
_ENVIRONMENTS = ROOT / ".venv-bench"

COMMIT_INTERVAL_MS = 100
COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that moves posts to verdicts. python: of its environment; script: None for our worker."""

    name: str
    guarantee: str
    script: str | None = None
    environment: str | None = None

    @property
    def python(self) -> Path:
        """The interpreter that has its packages."""
        return _ENVIRONMENTS / self.environment / "bin/python" if self.environment else Path(sys.executable)

    @property
    def missing(self) -> str | None:
        """What to do where its environment is not there."""
        return None if self.python.exists() else f"{self.name}: not measured, run `make peers` first"


PROGUARD = Contender("proguard moderate", "exactly once")
BARE = Contender("bare loop", "exactly once, no recovery", "bare_loop.py")
QUIX = Contender("quix-streams", "exactly once", "quix.py", "quix")
ARROYO = Contender("sentry-arroyo", "at least once", "arroyo_stage.py", "arroyo")
CONTENDERS = (PROGUARD, BARE, QUIX, ARROYO)


@dataclass(slots=True)
class Ground:
    """Where one contender runs: the broker, its topics and group, a folder for logs and state."""

    bootstrap_servers: str
    topics: TopicNames
    group: str
    directory: Path
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    slot: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


def start(contender: Contender, ground: Ground) -> Child:
    """Start it; its output goes to a log in the folder."""
    log = ground.directory / f"{ground.group}-{ground.slot}.log"
    if contender.script is None:
        environment = os.environ | _worker_environment(ground) | dict(ground.environment)
        return start_server([sys.executable, "-m", "worker.cli", "moderate"], log, environment)
    command = [str(contender.python), str(PEERS / contender.script), json.dumps(_peer_settings(ground))]
    return start_server(command, log)


def _worker_environment(ground: Ground) -> dict[str, str]:
    sections: dict[str, dict[str, Any]] = {
        "kafka": {
            "bootstrap_servers": ground.bootstrap_servers,
            "group_id": ground.group,
            "slot": ground.slot,
            "state_dir": str(ground.directory / f"{ground.group}-state-{ground.slot}"),
            "commit_interval_ms": COMMIT_INTERVAL_MS,
        },
        "topics": {name: getattr(ground.topics, name) for name in TopicNames.__dataclass_fields__},
        "guard": {"engine": "benchmarks.guards:instant"},
        "telemetry": {"port": free_ports(1)[0]},
    }
    for section, keys in ground.settings.items():
        sections.setdefault(section, {}).update(keys)
    return {
        f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, keys in sections.items()
        for key, value in keys.items()
    }


def _peer_settings(ground: Ground) -> dict[str, Any]:
    template, headers = verdict_template(ground.topics)
    return {
        "bootstrap_servers": ground.bootstrap_servers,
        "group": ground.group,
        "posts": ground.topics.posts,
        "verdicts": ground.topics.verdicts,
        "commit_interval_s": COMMIT_INTERVAL_MS / 1000,
        "compression": COMPRESSION,
        "template": template,
        "headers": headers,
    }


def verdict_template(topics: TopicNames) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A real verdict and its headers, for peers to write records of the same size."""
    from benchmarks.guards import InstantGuard
    from benchmarks.load import post
    from proguard_core.guards.protocol import GuardOptions
    from worker.moderation.decode import decode

    settings = Settings()
    policy = make_policy(settings)
    writer: OutcomeWriter = make_writer(settings, policy, 1_048_588)
    guard = InstantGuard(GuardOptions(None, (), {}))
    example = decode(post(1))
    asked = plan(example, (), guard.limits, settings.guard.max_text_bytes)
    judgements: list[Judgement] = [guard.answer for _question in asked.questions]
    judged = Judged(
        example, combine(asked, asked.questions, judgements, policy), Coverage(), guard.name, guard.revision, 0, 1, 2, 3
    )
    record = writer.judged((topics.posts, 1, 123_456), None, judged).records[0]
    headers = [(name, content.decode() if isinstance(content, bytes) else str(content)) for name, content in record[3]]
    return orjson.loads(record[2] or b"{}"), headers
