"""Before the first record: everything that can be wrong is found and said at once, with what to do about it.

A broker or an S3 server that is not there is no mistake: it is waited for. What only a change can mend ends the
process with 78.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation

from proguard_core.policy.policy import Policy
from worker import topics
from worker.errors import ConfigurationError
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES
from worker.moderation.objects import ObjectStore
from worker.settings import Settings

log = logging.getLogger(__name__)

_ATTEMPT_S = 2.0
_SAY_EVERY_S = 5.0
_PAUSE_S = 0.5
_REQUEST_S = 10.0
_GROUP_ATTEMPTS = 20

_AUTHENTICATION = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
# How a listener without SASL (PLAINTEXT, SSL) answers a login.
_NO_SASL_HERE = "not valid in current SASL state"
# How a broker that refuses our certificate looks: TLS 1.3 says so only after the handshake, when data is due.
_TLS_ALERT = "ssl/tls alert"
# A broker that dies during a handshake looks like a wrong certificate, once.
_HANDSHAKES_THAT_MEAN_IT = 2
# Asked of a group while its coordinator moves or starts.
_COORDINATOR_BUSY = frozenset(
    {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR}
)


@dataclass(frozen=True, slots=True)
class StartupReport:
    """errors must be mended before the worker can run; warnings need not. posts_max_bytes: of the posts topic."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    posts_max_bytes: int

    def raise_for_errors(self) -> None:
        """Log the warnings, and raise ConfigurationError with all errors if there are any."""
        for warning in self.warnings:
            log.warning("%s", warning)
        if self.errors:
            raise ConfigurationError("\n".join(self.errors))


class Refusals:
    """What a client says through its error callback: the only place where the cause of a failed login is told."""

    def __init__(self) -> None:
        self.last = ""
        self._lasting = ""
        self._handshakes = 0

    def note(self, error: KafkaError) -> None:
        """The error callback."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            return  # says less than the errors before it
        self.last = error.str()
        if error.code() in _AUTHENTICATION:
            correct = "sasl.username, sasl.password or sasl.mechanism"
            if _NO_SASL_HERE in error.str():
                correct = "security.protocol: this listener takes no login; or connect to another"
            self._lasting = f"the broker refuses our login: {error.str()}. Correct kafka.client.{correct}"
        elif error.code() == KafkaError._SSL or _TLS_ALERT in error.str():
            self._handshakes += 1
            if self._handshakes >= _HANDSHAKES_THAT_MEAN_IT:
                self._lasting = (
                    f"no TLS connection to the broker: {error.str()}. Correct kafka.client.security.protocol or the "
                    "certificates in kafka.client.ssl.*"
                )

    def raise_if_lasting(self) -> None:
        """ConfigurationError where waiting cannot help."""
        if self._lasting:
            raise ConfigurationError(self._lasting)


def wait_for_broker(settings: Settings, stop: Callable[[], bool], refusals: Refusals | None = None) -> bool:
    """Wait until a broker answers, and say so every few seconds; False if stop() came true before.

    refusals.last is then why none did. Raises ConfigurationError when the broker is there and refuses us, or when a
    setting of the client is wrong.
    """
    refusals = refusals or Refusals()
    admin = topics.open_admin(settings, refusals.note)
    started = said = time.monotonic()
    while not stop():
        try:
            admin.list_topics(timeout=_ATTEMPT_S)
            return True
        except KafkaException as error:
            admin.poll(0)
            refusals.raise_if_lasting()
            refusals.last = refusals.last or topics.text_of(error)
        now = time.monotonic()
        if said == started or now - said >= _SAY_EVERY_S:
            said = now
            log.warning(
                "waiting for the broker at %s since %.0f s: %s",
                settings.kafka.bootstrap_servers,
                now - started,
                refusals.last,
            )
        time.sleep(_PAUSE_S)
    return False


def check(settings: Settings, policy: Policy, stop: Callable[[], bool] = lambda: False) -> StartupReport:
    """Everything that can be wrong with topics, rights, sizes and S3; nothing is created or changed.

    The policy is here because it must have been loaded before anything is asked of a server. Waits for the broker;
    once stop() is true the report may be empty. Raises ConfigurationError if the broker refuses us.
    """
    log.debug("checking for policy %s %s", policy.name, policy.version)
    while wait_for_broker(settings, stop):
        admin = topics.open_admin(settings)
        try:
            states = topics.look(admin, settings)
        except KafkaException as error:
            log.warning("the broker does not answer questions about topics: %s", topics.text_of(error))
            continue
        return _report(settings, admin, states)
    return StartupReport((), (), BROKER_MAX_MESSAGE_BYTES)


def _report(settings: Settings, admin: AdminClient, states: list[topics.TopicState]) -> StartupReport:
    largest = topics.posts_max_bytes(states)
    errors = _skip_errors(settings)
    warnings = []
    for state in states:
        errors += topics.errors_of(state, largest)
        warnings += topics.warnings_of(state)
    if any(state.described for state in states):
        if not may_read_group(admin, settings.kafka.group_id):
            lacking = "(kafka.group_id): the principal lacks READ; grant it on this group"
            errors.append(f"group {settings.kafka.group_id} {lacking}")
    else:
        warnings = ["the broker does not describe its topics: their size limits and our rights are not checked"]
    for lasting, message in object_problems(settings):
        (errors if lasting else warnings).append(message)
    return StartupReport(tuple(errors), tuple(warnings), largest)


def _skip_errors(settings: Settings) -> list[str]:
    posts = settings.topics.posts
    foreign = [entry for entry in settings.kafka.skip if entry.rsplit(":", 2)[0] != posts]
    return [f"kafka.skip: {entry!r} is not of the posts topic {posts}" for entry in foreign]


def may_read_group(admin: AdminClient, group: str) -> bool:
    """Whether the principal has READ on the group, existing or not; True where the broker does not say."""
    for _attempt in range(_GROUP_ATTEMPTS):
        future = admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=_REQUEST_S
        )[group]
        try:
            operations = future.result(2 * _REQUEST_S).authorized_operations
        except KafkaException as error:
            code = error.args[0].code()
            if code in _COORDINATOR_BUSY:
                time.sleep(_PAUSE_S)
                continue
            return bool(code != KafkaError.GROUP_AUTHORIZATION_FAILED)
        return operations is None or AclOperation.READ in operations
    return True


def object_problems(settings: Settings) -> list[tuple[bool, str]]:
    """(whether it lasts, what is wrong) of each bucket."""
    if not settings.objects.buckets:
        message = "objects.buckets is empty: no picture will be read, and posts with pictures become undetermined"
        return [(False, message)]
    problems = asyncio.run(ObjectStore(settings.objects).check_access())
    return [(problem.reachable, problem.message) for problem in problems]
