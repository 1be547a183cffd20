"""`proguard moderate`: puts the parts together and runs until a signal."""

import functools
import gc
import logging
import signal
from collections.abc import Callable
from contextlib import closing
from types import FrameType

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import Guard, GuardError, GuardOptions
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.policy.problems import PolicyError
from worker import topics
from worker.errors import ConfigurationError
from worker.moderation import champion, startup
from worker.moderation.at_least_once import AtLeastOncePublisher
from worker.moderation.client_config import OUTCOME_ENVELOPE_BYTES, admin_config, consumer_config, producer_config
from worker.moderation.fetch import Fetcher
from worker.moderation.group_offsets import GroupOffsets
from worker.moderation.group_view import GroupView
from worker.moderation.judge import Judge
from worker.moderation.judging import Delivery, JudgingThread
from worker.moderation.objects import ObjectStore
from worker.moderation.observation import Observation
from worker.moderation.outcome import OutcomeWriter
from worker.moderation.pipeline import Pipeline
from worker.moderation.poison import Journal
from worker.moderation.progress import Progress
from worker.moderation.revision_watch import RevisionWatch
from worker.moderation.source import Source
from worker.moderation.starts import StartOffsets
from worker.moderation.stream import Stream
from worker.moderation.transactions import TransactionalPublisher
from worker.settings import Settings
from worker.telemetry.health import Health
from worker.telemetry.service import TelemetryService
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

# Of the room that a topic grants beyond a post, what our headers and the key may take.
_HEADER_BYTES = 8 * 1024
# Objects made since the last look of the garbage collector; some 3,000 posts. Its default is 700.
_COLLECT_EVERY = 50_000
# Of clients that are made to look at their settings alone. They connect all the same, but whether a broker is there is
# no matter of settings; which of them are ignored is.
_SETTINGS_LOG = logging.getLogger("proguard.kafka.settings")
_SETTINGS_LOG.addFilter(lambda record: record.getMessage().startswith("CONFWARN"))


class Stop:
    """Counts termination signals, so that the first drains and the second leaves."""

    def __init__(self) -> None:
        self.signals = 0
        self._listener: Callable[[], None] | None = None

    def install(self) -> None:
        """Listen for SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def forward(self, listener: Callable[[], None]) -> None:
        """Tell the stream of signals, those that came before included."""
        self._listener = listener
        for _ in range(self.signals):
            listener()

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.signals > 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1
        if self._listener is not None:
            self._listener()


def make_policy(settings: Settings) -> Policy:
    """The policy of the settings; ConfigurationError lists every problem with its line."""
    try:
        return load_policy(settings.policy.path)
    except PolicyError as error:
        raise ConfigurationError(str(error)) from None


def make_guard(settings: Settings, policy: Policy) -> Guard:
    """The guard of the settings, not yet started."""
    guard = settings.guard
    options = GuardOptions(guard.model, guard.base_urls, dict(guard.settings))
    try:
        return create(guard.engine, options, policy)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def check_clients(settings: Settings) -> None:
    """ConfigurationError where librdkafka refuses a setting of the user's; nothing is asked of a broker."""
    silent = {"logger": _SETTINGS_LOG}
    makers: dict[str, Callable[[], object]] = {
        "consumer": lambda: Consumer(consumer_config(settings, _unheard) | silent).close(),
        "producer": lambda: Producer(producer_config(settings, on_error=_unheard) | silent),
    }
    for role, make in makers.items():
        try:
            make()
        except (KafkaException, ValueError) as error:
            raise ConfigurationError(f"kafka.client or kafka.{role}: {topics.text_of(error)}") from None


def _unheard(_error: KafkaError) -> None:
    """What a client says of brokers is no matter of its settings."""


def run(settings: Settings) -> int:
    """Moderate until a signal; the exit code. Raises WorkerError."""
    stop = Stop()
    stop.install()
    policy = make_policy(settings)
    guard = make_guard(settings, policy)
    check_clients(settings)
    observation = Observation(settings, Telemetry(Health(settings.telemetry.live_timeout_s)))
    observation.policy = policy
    journal = Journal(settings.kafka.state_dir, settings.kafka.transactional_id)
    with (
        closing(journal),
        TelemetryService(settings, observation.telemetry, observation.observers(), observation.status),
    ):
        return _run(settings, policy, guard, journal, observation, stop)


def _run(
    settings: Settings, policy: Policy, guard: Guard, journal: Journal, observation: Observation, stop: Stop
) -> int:
    if not startup.wait_for_broker(settings, stop):
        return 0
    report = startup.check(settings, policy, stop)
    if stop():
        return 0
    report.raise_for_errors()
    writer = make_writer(settings, policy, report.posts_max_bytes)
    judging = JudgingThread(
        lambda deliver: build_pipeline(settings, policy, guard, writer, journal, deliver, observation),
        observation.telemetry.health.judging.beat,
    )
    publisher = _publisher(settings, report.posts_max_bytes, observation.telemetry)
    try:
        if judging.start(stop) and _initialised(publisher, stop):
            _moderate(settings, judging, publisher, writer, observation, stop)
    finally:
        judging.close()
    return 0


def make_writer(
    settings: Settings, policy: Policy, posts_max_bytes: int, kind: type[OutcomeWriter] = OutcomeWriter
) -> OutcomeWriter:
    """The writer of outcomes, for posts of at most posts_max_bytes."""
    max_hit_bytes = posts_max_bytes + OUTCOME_ENVELOPE_BYTES - _HEADER_BYTES
    return kind(settings.topics, policy, settings.kafka.group_id, max_hit_bytes)


async def build_pipeline(
    settings: Settings,
    policy: Policy,
    guard: Guard,
    writer: OutcomeWriter,
    journal: Journal,
    deliver: Callable[[Delivery], None],
    observation: Observation | None = None,
) -> Pipeline:
    """Load the guard and put the pipeline around it; ConfigurationError if it cannot be loaded."""
    observed = observation or Observation(settings, Telemetry())
    telemetry = observed.telemetry
    try:
        await guard.start()
    except GuardError as error:
        raise ConfigurationError(f"the guard {settings.guard.engine!r} cannot be loaded: {error}") from error
    log.info("guard: %s, revision %s; policy: %s, version %s", guard.name, guard.revision, policy.name, policy.version)
    fetcher = Fetcher(ObjectStore(settings.objects), settings.objects, guard.limits.max_pixels, telemetry=telemetry)
    await fetcher.start()
    judge = Judge(guard, settings.guard, telemetry)
    if (wanted := champion.follower(settings, telemetry)) is not None:
        judge.watch = RevisionWatch(guard, wanted, telemetry)
        # A replay begins with what is wanted and keeps it, so that its verdicts can be compared.
        await (judge.watch.look() if observation is None else judge.watch.start())
    pipeline = Pipeline(
        judge, fetcher, writer, policy, journal, settings.batching, settings.guard, deliver, telemetry=telemetry
    )
    observed.guard, observed.guard_dependency = guard, judge.dependency
    observed.fetcher, observed.pipeline = fetcher, pipeline
    return pipeline


def _publisher(
    settings: Settings, posts_max_bytes: int, telemetry: Telemetry
) -> TransactionalPublisher | AtLeastOncePublisher:
    config = producer_config(settings, posts_max_bytes)
    if settings.kafka.delivery == "exactly-once":
        return TransactionalPublisher(lambda: Producer(config), settings.kafka, telemetry=telemetry)

    def make(on_delivery: Callable[[KafkaError | None, object], None]) -> Producer:
        return Producer({**config, "on_delivery": on_delivery})

    return AtLeastOncePublisher(make, settings.kafka, telemetry=telemetry)


def _initialised(publisher: TransactionalPublisher | AtLeastOncePublisher, stop: Stop) -> bool:
    """Wait until the broker has ended the transaction of the process before us. False if stopped meanwhile."""
    turns = 0
    while not publisher.ready:
        if stop():
            return False
        publisher.step()
        turns += 1
        if turns % 100 == 0:
            log.info("waiting for the broker to start the transactional producer")
    return True


def _moderate(
    settings: Settings,
    judging: JudgingThread,
    publisher: TransactionalPublisher | AtLeastOncePublisher,
    writer: OutcomeWriter,
    observation: Observation,
    stop: Stop,
) -> None:
    telemetry = observation.telemetry
    progress = Progress(settings.telemetry.status_interval_s)
    stream = Stream(settings, publisher, judging, writer, progress, telemetry=telemetry)
    config = consumer_config(settings)
    if isinstance(publisher, AtLeastOncePublisher):
        config["on_commit"] = publisher.on_commit
    make_admin = functools.cache(lambda: AdminClient(admin_config(settings)))
    starts = StartOffsets(make_admin, settings.kafka)
    source = Source(config, settings.topics.posts, starts, stream)
    publisher.attach(source.consumer)
    stream.group = GroupView(source.consumer, telemetry.health, GroupOffsets(make_admin, settings.kafka.group_id))
    observation.publisher, observation.stream, observation.source = publisher, stream, source
    telemetry.health.started = True
    stop.forward(stream.stop)
    _calm_collector()
    log.info("moderating %s as group %s (%s)", settings.topics.posts, settings.kafka.group_id, settings.kafka.delivery)
    stream.run(source)


def _calm_collector() -> None:
    """Let the garbage collector look less often: thousands of posts are held at once, and by default it looks through
    them again and again, which took more time than judging them (docs/performance.md). Nothing of ours needs it:
    posts are freed when their last reference goes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 50)
