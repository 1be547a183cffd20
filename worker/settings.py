"""Settings: one TOML file, over it secrets by file, over both `PROGUARD_<SECTION>__<KEY>` in the environment."""

import os
import re
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from worker import logs, secret_values, settings_errors
from worker.client_keys import RESERVED_CLIENT_KEYS, flatten
from worker.console.settings import ConsoleSettings
from worker.errors import ConfigurationError
from worker.retraining.settings import RetrainingSettings
from worker.setting_names import mistaken
from worker.setting_section import Section
from worker.settings_sources import reading, without_wrong

MEBIBYTE = 1024 * 1024
FIRST_TELEMETRY_PORT = 9464
# Those whose decoding is bounded and tested, by Pillow's names.
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaSettings(Section):
    """The broker, the group and what is promised."""

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1, description="host:port, several with commas.")
    group_id: str = Field("proguard-moderation", min_length=1, description="The workers' consumer group.")
    group_protocol: Literal["classic", "consumer"] = Field("classic", description="consumer: KIP-848, Kafka 4.")
    delivery: Literal["exactly-once", "at-least-once"] = Field(
        "exactly-once", description="at-least-once is for brokers without transactions; docs/delivery.md."
    )
    start_from: Literal["earliest", "latest"] | AwareDatetime = Field(
        "earliest", description="Where a new group starts; an RFC 3339 time is allowed."
    )
    on_expired: Literal["stop", "continue"] = Field(
        "stop",
        description="When posts expired before they were read: stop that partition, or go on from the first left.",
    )
    client: dict[str, str] = Field(default_factory=dict, description="librdkafka settings of every client.")
    consumer: dict[str, str] = Field(default_factory=dict, description="librdkafka settings of the consumer.")
    producer: dict[str, str] = Field(default_factory=dict, description="librdkafka settings of the producer.")
    hostname: str = Field(default_factory=socket.gethostname, description="Part of transactional.id.")
    slot: int = Field(0, ge=0, description="Distinguishes workers of one group on one host.")
    state_dir: Path = Field(
        Path(".proguard-state"), description="Notes which posts were in the guard; survives a crash."
    )
    commit_interval_ms: int = Field(100, ge=1, le=10_000, description="Outcomes wait so long for their transaction.")
    transaction_timeout_ms: int = Field(
        15_000, ge=1_000, description="After it the broker aborts what a dead worker left open."
    )
    revoke_timeout_ms: int = Field(500, ge=1, description="For committing what is finished when partitions leave.")
    drain_timeout_ms: int = Field(30_000, ge=0, description="For finishing what is under way after SIGTERM.")
    max_poll_interval_ms: int = Field(
        300_000, ge=6_000, description="A worker whose loop stands still for longer is thrown out of the group."
    )
    max_posts: int = Field(20_000, ge=2, description="Posts held, from receipt to confirmed commit.")
    max_bytes: int = Field(256 * MEBIBYTE, ge=MEBIBYTE, description="Bytes of posts and outcomes held.")
    skip: tuple[str, ...] = Field(
        (),
        description='Poison by hand: the post ["topic:partition:offset"] becomes undetermined; '
        "what is no post stays a dead letter, which the breaker does not count.",
    )

    @field_validator("start_from", mode="wrap")
    @classmethod
    def _start(cls, given: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(given)
        except ValidationError:
            example = "2026-01-31T12:00:00Z"
            raise ValueError(f"must be earliest, latest or an RFC 3339 time with an offset, as {example} is") from None

    @field_validator("client", "consumer", "producer", mode="before")
    @classmethod
    def _dotted(cls, table: object) -> object:
        return flatten(table) if isinstance(table, dict) else table

    @field_validator("client", "consumer", "producer")
    @classmethod
    def _unreserved(cls, table: dict[str, str]) -> dict[str, str]:
        if reserved := sorted(RESERVED_CLIENT_KEYS & {key.strip().lower() for key in table}):
            raise ValueError(
                f"{', '.join(reserved)} cannot be set here: delivery promises rest on it, or it has a key of its own"
            )
        return table

    @field_validator("skip")
    @classmethod
    def _coordinates(cls, skip: tuple[str, ...]) -> tuple[str, ...]:
        for entry in skip:
            topic, partition, offset = ["", "", *entry.rsplit(":", 2)][-3:]
            if not (partition.isdecimal() and offset.isdecimal() and topic):
                raise ValueError(f"{entry!r} is not of the form topic:partition:offset")
        return skip

    @model_validator(mode="after")
    def _deadlines(self) -> Self:
        for name in ("drain_timeout_ms", "revoke_timeout_ms", "transaction_timeout_ms"):
            if getattr(self, name) >= self.max_poll_interval_ms:
                raise ValueError(f"{name} must be below max_poll_interval_ms ({self.max_poll_interval_ms})")
        if self.commit_interval_ms >= self.transaction_timeout_ms:
            raise ValueError(f"commit_interval_ms must be below transaction_timeout_ms ({self.transaction_timeout_ms})")
        return self

    @property
    def transactional_id(self) -> str:
        """The same after a restart in place, so that the new process fences the old one."""
        return f"{self.group_id}.{self.hostname}.{self.slot}"

    def start_timestamp_ms(self) -> int | None:
        """start_from as milliseconds since the epoch, where it is a time."""
        return int(self.start_from.timestamp() * 1000) if isinstance(self.start_from, datetime) else None


class TopicSettings(Section):
    """Names of the topics."""

    posts: str = Field("moderation.posts", description="Read by the workers.")
    verdicts: str = Field("moderation.verdicts", description="One answer for each post.")
    risks: str = Field("moderation.risks", description="Unsafe posts whose risk has no category.")
    retraining: str = Field("moderation.retraining", description="Such risks with their posts.")
    reviews: str = Field("moderation.reviews", description="What people decided.")
    dead_letters: str = Field("moderation.dead-letters", description="Records that were no posts.")

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The topics that the worker writes."""
        return (self.verdicts, self.risks, self.retraining, self.dead_letters)

    @field_validator("*")
    @classmethod
    def _takes(cls, name: str) -> str:
        if not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
            raise ValueError("a topic's name has letters, digits, . _ and - only, at most 249")
        return name

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = list(self.model_dump().values())
        if len(set(names)) != len(names):
            raise ValueError("two topics have the same name")
        return self


class ObjectSettings(Section):
    """Where pictures lie and how much of them is looked at. Keys come from AWS_*, profiles or web identity."""

    endpoint_url: str | None = Field(None, description="Of an S3 that is not AWS's; http:// or https://.")
    region: str | None = Field(None, description="Default: that of the environment or profile.")
    profile: str | None = Field(None, description="A profile of the AWS configuration files.")
    addressing_style: Literal["path", "virtual"] | None = Field(None, description="Default: path with an endpoint_url.")
    buckets: tuple[str, ...] = Field((), description="The only buckets that are ever read.")
    max_images: int = Field(8, ge=1, description="Pictures of a post that are looked at; more are never called safe.")
    max_bytes: int = Field(20 * MEBIBYTE, ge=1, description="Of one object.")
    max_pixels: int = Field(50_000_000, ge=1, description="Width times height of a picture before it is scaled down.")
    max_frames: int = Field(8, ge=1, description="Frames sampled from an animation.")
    formats: tuple[str, ...] = Field(PICTURE_FORMATS, description="What is decoded.")
    concurrency: int = Field(64, ge=1, description="Objects fetched at once.")
    decode_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Pictures decoded at once."
    )
    max_decoding_pixels: int = Field(
        50_000_000,
        ge=1,
        description="Pixels held while decoding, all threads together; up to 9 bytes each. One picture may exceed it.",
    )
    connect_timeout_s: float = Field(3.0, gt=0, description="Of one connection to S3.")
    timeout_s: float = Field(30.0, gt=0, description="Of one fetch.")
    give_up_s: float = Field(
        60.0, ge=0, description="After this, while S3 answers otherwise, the post is undetermined."
    )
    forbidden_run: int = Field(
        20, ge=1, description="AccessDenied answers in a row that mean lost rights, not lost pictures."
    )
    max_held_bytes: int = Field(512 * MEBIBYTE, ge=MEBIBYTE, description="Bytes of pictures fetched and not decoded.")
    max_held_pixels: int = Field(256_000_000, ge=1, description="Pixels of pictures that wait for the guard.")

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if not formats or set(formats) - set(PICTURE_FORMATS):
            raise ValueError(f"must be some of {', '.join(PICTURE_FORMATS)}")
        return formats

    @field_validator("endpoint_url")
    @classmethod
    def _has_scheme(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if url is not None and (not urlsplit(url).hostname or any(letter.isspace() for letter in url)):
            raise ValueError("has no host, or a space in it")
        return url


class GuardSettings(Section):
    """Which guard judges, and how long we try."""

    engine: str = Field("embedded", description="embedded, openai, vllm, transformers, or package.module:factory.")
    model: str | None = Field(None, description="The model that the engine loads or asks for.")
    base_urls: tuple[str, ...] = Field((), description="Servers of an engine that is asked over HTTP.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="The engine's own keys, cache_size, cascade, shadow."
    )
    revision_file: Path | None = Field(None, description="Its first line names the adapter to serve; it is watched.")
    max_text_bytes: int = Field(
        65_536, ge=1, description="Text judged, in windows; what lies beyond is never called safe."
    )
    timeout_s: float = Field(60.0, gt=0, description="Of one micro-batch.")
    max_attempts: int = Field(3, ge=1, description="Of one post alone, while the guard answers otherwise.")


class PolicySettings(Section):
    """Which policy."""

    path: Path | None = Field(None, description="YAML; default is the policy that is shipped.")


class BatchingSettings(Section):
    """Micro-batches: the unit of work of the guard."""

    max_posts: int = Field(32, ge=1, description="Questions in a batch.")
    max_cost: int = Field(65_536, ge=1, description="Estimated prompt tokens in a batch, pixels included.")
    max_wait_ms: float = Field(20.0, ge=0, description="A question waits so long for a batch to fill.")
    in_flight: int = Field(2, ge=1, description="Batches in the guard at once.")


class BreakerSettings(Section):
    """When so much goes wrong that going on would only spread it."""

    enabled: bool = Field(True, description="Whether a storm of failures pauses intake.")
    max_run: int = Field(200, ge=1, description="Dead letters or failed judgements in a row, a partition.")
    max_ratio: float = Field(0.5, gt=0, le=1, description="Of the last `window` records.")
    window: int = Field(1000, ge=1, description="Records that max_ratio looks at.")


class TelemetrySettings(Section):
    """Logs, metrics, traces, probes."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG may show content.")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON otherwise.")
    status_interval_s: float = Field(10.0, gt=0, description="How often progress is said.")
    host: str = Field("127.0.0.1", min_length=1, description="Where /metrics, the probes and /status are served.")
    port: int | None = Field(
        None, ge=0, le=65_535, description="Default 9464 + kafka.slot, so that workers of one host differ; 0: off."
    )
    otlp_endpoint: str | None = Field(
        None, description="OTLP over HTTP for metrics and spans; OTEL_EXPORTER_OTLP_ENDPOINT otherwise."
    )
    otlp_interval_s: float = Field(15.0, gt=0, description="How often metrics are sent by OTLP.")
    live_timeout_s: float = Field(60.0, gt=0, description="/livez fails when the loop has not turned for so long.")
    stuck_after_s: float = Field(20.0, gt=0, description="The stacks are logged when a loop stood still for so long.")

    @field_validator("otlp_endpoint")
    @classmethod
    def _has_scheme(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url

    @model_validator(mode="after")
    def _dumped_before_killed(self) -> Self:
        if self.stuck_after_s >= self.live_timeout_s:
            raise ValueError(f"stuck_after_s must be below live_timeout_s ({self.live_timeout_s:g})")
        return self


class Settings(BaseSettings):
    """All settings. Build with `load`."""

    model_config = SettingsConfigDict(
        env_prefix="PROGUARD_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topics: TopicSettings = Field(default_factory=TopicSettings)
    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    guard: GuardSettings = Field(default_factory=GuardSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    batching: BatchingSettings = Field(default_factory=BatchingSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    retraining: RetrainingSettings = Field(default_factory=RetrainingSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)

    @model_validator(mode="after")
    def _drained_before_killed(self) -> Self:
        if self.telemetry.live_timeout_s * 1000 <= self.kafka.drain_timeout_ms:
            raise ValueError(
                f"telemetry.live_timeout_s must be above kafka.drain_timeout_ms ({self.kafka.drain_timeout_ms}), "
                "or a drain ends in a kill"
            )
        return self

    @property
    def telemetry_port(self) -> int:
        """Where metrics and probes are served; 0 for nowhere."""
        port = self.telemetry.port
        return FIRST_TELEMETRY_PORT + self.kafka.slot if port is None else port


@dataclass(frozen=True, slots=True)
class Read:
    """problems: all that is wrong, in words. wrong: the sections that are; in settings these are as by default."""

    settings: Settings
    problems: tuple[str, ...] = ()
    wrong: frozenset[str] = frozenset()


def load(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Settings of a TOML file (or `PROGUARD_CONFIG`); over it secrets by file, the environment and overrides (nested).

    Secret values are left out of logs from here on. Raises ConfigurationError that names the file and each wrong key.
    """
    found = read(path, overrides)
    if found.problems:
        raise ConfigurationError("\n".join(found.problems))
    return found.settings


def read(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Read:
    """The same, with what is right where something is wrong. Raises ConfigurationError for what cannot be read."""
    if path is None and (configured := os.environ.get("PROGUARD_CONFIG")):
        path = Path(configured)
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{path}: there is no such settings file")
    secrets = secret_values.directory(Settings.model_fields)
    given, model = overrides or {}, reading(Settings, path, secrets)
    places = (path, secrets, "environment", "command line" if given else None)
    place = " and ".join(str(each) for each in places if each is not None)
    problems, wrong = mistaken(os.environ, Settings.model_fields), frozenset[str]()
    try:
        settings = model(**given)
    except ValidationError as error:
        problems.append(describe(error, place))
        wrong = frozenset(str(item["loc"][0]) if item["loc"] else "" for item in error.errors())
        settings = without_wrong(model)(**given)
    except SettingsError as error:
        hint = 'write lists and tables as JSON, such as ["pictures"]'
        raise ConfigurationError(f"{place}: {error}: {hint}") from None
    except ValueError as error:  # TOML syntax
        raise ConfigurationError(f"{place}: {error}") from None
    logs.hide(*secret_values.values_of(settings.model_dump()), *secret_values.values_of_environment())
    return Read(settings, tuple(problems), wrong)


def describe(error: ValidationError, place: str, *within: str) -> str:
    """One line a wrong key, without the value, which may be a secret. within: the tables that were validated alone."""
    return settings_errors.describe(error, place, Settings.model_fields, *within)
