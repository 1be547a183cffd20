"""The embedded broker: librdkafka's mock cluster in its own process, a TCP endpoint that speaks Kafka.

What it is good for: a demo and tests without Java. What it cannot do, so that nobody builds on it:
- transactions are stubs (aborted records are visible, nobody is fenced), so delivery is at-least-once;
- only KIP-848 groups (`group.protocol=consumer`) survive the restart of a consumer;
- a partition keeps at most 5 MiB or 100,000 batches, unread ones included, and nothing is on disk;
- topics cannot be created or described by an admin client, offsets cannot be found by time.

`python -m worker.local.broker TOPIC=PARTITIONS ...` prints its bootstrap servers on one line and lives until
standard input ends, its parent dies, or SIGTERM.
"""

import ctypes
import select
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.local.child import Child
from worker.settings import TopicSettings

POSTS_PARTITIONS = 6
_PARTITIONS = 3
_START_TIMEOUT_S = 15.0
_REPLICATION = 1
_PRODUCER = 0
_NO_CONTROLLER = -1
# A killed worker's partitions go to the next one after the session timeout; Kafka's default is 45 s.
_SESSION_TIMEOUT_MS = 4_000
_HEARTBEAT_MS = 300


def default_partitions(topics: TopicSettings | None = None) -> dict[str, int]:
    """Partition count of every moderation topic on the embedded broker."""
    names = topics or TopicSettings()
    counts = dict.fromkeys((*names.outcomes, names.reviews), _PARTITIONS)
    return {names.posts: POSTS_PARTITIONS} | counts


class LocalBroker:
    """The broker as a child process; a context manager.

    Raises RuntimeError if it does not come up within 15 s.
    """

    def __init__(self, partitions: Mapping[str, int] | None = None, log: Path | None = None) -> None:
        self._partitions = dict(partitions or default_partitions())
        self._log = log
        self._child: Child | None = None
        self.bootstrap_servers = ""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child else None

    def launch(self) -> None:
        """Start it without waiting."""
        topics = [f"{name}={count}" for name, count in self._partitions.items()]
        self._child = Child([sys.executable, "-m", "worker.local.broker", *topics], log=self._log, read_output=True)

    def start(self) -> str:
        """Start it unless it is launched, wait until its topics exist, return its bootstrap servers."""
        if self._child is None:
            self.launch()
        assert self._child is not None
        self.bootstrap_servers = self._first_line()
        if not self.bootstrap_servers:
            code = self._child.returncode
            self.stop()
            raise RuntimeError(f"the embedded broker did not start (exit status {code})")
        return self.bootstrap_servers

    def stop(self) -> None:
        """End it; everything it holds is gone."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _first_line(self) -> str:
        assert self._child is not None
        assert self._child.process.stdout is not None
        stream = self._child.process.stdout
        readable, _, _ = select.select([stream], [], [], _START_TIMEOUT_S)
        return stream.readline().decode().strip() if readable else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _library() -> ctypes.CDLL:
    """The librdkafka inside the confluent-kafka wheel: the same copy that the client has loaded.

    ctypes takes results for int, which cuts pointers in half, so every pointer is declared.
    """
    import confluent_kafka  # noqa: F401 - loads the library's own dependencies

    files = metadata.files("confluent-kafka") or []
    path = next((file.locate() for file in files if file.name.startswith("librdkafka-")), None)
    if path is None:
        raise RuntimeError("this confluent-kafka carries no librdkafka of its own: install it from its wheel")
    library = ctypes.CDLL(str(path))
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.rd_kafka_conf_new.restype = pointer
    library.rd_kafka_conf_set.argtypes = [pointer, text, text, text, ctypes.c_size_t]
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_new.argtypes = [number, pointer, text, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_new.argtypes = [pointer, number]
    library.rd_kafka_mock_cluster_bootstraps.restype = text
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    library.rd_kafka_mock_set_controller_id.argtypes = [pointer, ctypes.c_int32]
    library.rd_kafka_mock_topic_create.argtypes = [pointer, text, number, number]
    library.rd_kafka_mock_set_group_consumer_session_timeout_ms.argtypes = [pointer, number]
    library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms.argtypes = [pointer, number]
    return library


@dataclass(frozen=True, slots=True)
class MockCluster:
    """A cluster in this process. It lives as we do. pointer: what librdkafka's mock functions take."""

    library: ctypes.CDLL
    pointer: int

    @property
    def servers(self) -> str:
        """Its bootstrap servers."""
        found: bytes = self.library.rd_kafka_mock_cluster_bootstraps(self.pointer)
        return found.decode()


def new_cluster(partitions: Mapping[str, int]) -> MockCluster:
    """Make one with these topics. RuntimeError where librdkafka makes none."""
    library = _library()
    error = ctypes.create_string_buffer(512)
    configuration = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(configuration, b"log_level", b"3", error, len(error))
    handle = library.rd_kafka_new(_PRODUCER, configuration, error, len(error))
    if not handle:
        raise RuntimeError(f"librdkafka refused a handle: {error.value.decode(errors='replace')}")
    cluster = library.rd_kafka_mock_cluster_new(handle, 1)
    if not cluster:
        raise RuntimeError("librdkafka refused a mock cluster")
    # It answers no admin request; without a controller clients know that at once instead of by a timeout.
    library.rd_kafka_mock_set_controller_id(cluster, _NO_CONTROLLER)
    for name, count in partitions.items():
        if code := library.rd_kafka_mock_topic_create(cluster, name.encode(), count, _REPLICATION):
            raise RuntimeError(f"topic {name} could not be made: librdkafka's error {code}")
    library.rd_kafka_mock_set_group_consumer_session_timeout_ms(cluster, _SESSION_TIMEOUT_MS)
    library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(cluster, _HEARTBEAT_MS)
    return MockCluster(library, cluster)


def _wait_for_end() -> None:
    """Return when standard input ends (the parent is gone) or at SIGTERM or SIGINT."""
    over = threading.Event()
    for sent in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sent, lambda *_: over.set())

    def read_input() -> None:
        while sys.stdin.buffer.read(1):
            pass
        over.set()

    threading.Thread(target=read_input, daemon=True).start()
    over.wait()


def main(arguments: list[str]) -> int:
    """Serve until told to end. arguments: TOPIC=PARTITIONS; none means the moderation topics."""
    wanted: dict[str, int] = {}
    for argument in arguments:
        name, separator, count = argument.rpartition("=")
        if not (separator and name and count.isdigit() and int(count) > 0):
            print(f"{argument!r} is not of the form TOPIC=PARTITIONS", file=sys.stderr)
            return 2
        wanted[name] = int(count)
    print(new_cluster(wanted or default_partitions()).servers, flush=True)
    _wait_for_end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
