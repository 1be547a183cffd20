"""A real Apache Kafka (KRaft) of one or three brokers on 127.0.0.1, for tests and benchmarks; needs Java and Maven."""

import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.kafka_jars import kafka_classpath
from tests.support.kafka_properties import ADMIN, PASSWORDS, STORE_PASSWORD, BrokerPlace, broker_properties
from tests.support.processes import start_server, tail
from worker.local.child import Child, free_ports

ClientConfig = dict[str, str | int | float | bool]

_CLUSTER_ID = "cHJvZ3VhcmQtdGVzdHMtMQ"
_JAVA = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_READY_S = 90.0
_FORMAT_S = 60.0


class KafkaCluster:
    """Brokers as child processes; a context manager. Brokers count from 1 and keep their port and data over restarts.

    With secure, clients need SASL_SSL and SCRAM-SHA-256 (users admin, a super user, and worker, without any right until
    ACLs give it some). Logs lie in directory as broker1.log and so on. Memory: about 350 MB a broker.
    """

    def __init__(self, directory: Path, brokers: Literal[1, 3] = 1, secure: bool = False) -> None:
        self.directory = directory
        self.secure = secure
        ports = free_ports(2 * brokers)
        self._places = [
            BrokerPlace(number, ports[2 * number - 2], ports[2 * number - 1], directory / f"data{number}")
            for number in range(1, brokers + 1)
        ]
        self._children: dict[int, Child] = {}

    @property
    def bootstrap_servers(self) -> str:
        """All brokers, those that are down too."""
        return ",".join(f"127.0.0.1:{place.port}" for place in self._places)

    def client_config(self, user: str = ADMIN, password: str | None = None) -> ClientConfig:
        """librdkafka settings to connect with; user and password matter only where the cluster is secure."""
        config: ClientConfig = {"bootstrap.servers": self.bootstrap_servers}
        if self.secure:
            config |= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": user,
                "sasl.password": PASSWORDS[user] if password is None else password,
                "ssl.ca.location": str(self.directory / "ca.pem"),
            }
        return config

    def start(self) -> Self:
        """Format what is new, start all brokers, wait until they answer."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._prepare(kafka_classpath())
        for place in self._places:
            self._start_broker(place.number)
        self.wait_ready()
        return self

    def stop(self) -> None:
        """End all brokers, stopped and suspended ones too."""
        for child in self._children.values():
            if child.returncode is None:
                child.process.send_signal(signal.SIGCONT)
                child.process.send_signal(signal.SIGKILL)  # its data is thrown away or survives this by design
        for child in self._children.values():
            child.stop()
        self._children.clear()

    def pid(self, broker: int) -> int:
        """Process id of a broker, to measure it."""
        return self._children[broker].pid

    def kill(self, broker: int, sent: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one broker (SIGKILL, SIGTERM, SIGSTOP, SIGCONT); returns once a killed one is gone."""
        child = self._children[broker]
        child.process.send_signal(sent)
        if sent in (signal.SIGKILL, signal.SIGTERM):
            child.process.wait(30)

    def restart(self, broker: int, wait: bool = True) -> None:
        """Start a broker again on its port and data, after ending it if it runs; wait for all brokers and replicas."""
        child = self._children.pop(broker)
        child.stop(grace_s=20)
        self._start_broker(broker)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Until every broker answers and every replica is in sync. Raises RuntimeError with the log's end."""
        admin = AdminClient({**self.client_config(), "socket.timeout.ms": "3000", "log_level": "0"})
        deadline = time.monotonic() + timeout_s
        problem = "no answer"
        while time.monotonic() < deadline:
            for number, child in self._children.items():
                if child.returncode is not None:
                    raise RuntimeError(f"broker {number} ended with {child.returncode}: {tail(self._log(number))}")
            try:
                problem = self._what_is_missing(admin)
            except KafkaException as error:
                problem = str(error)
            if not problem:
                return
            time.sleep(0.1)
        logs = "\n".join(tail(self._log(number)) for number in self._children)
        raise RuntimeError(f"Kafka was not ready after {timeout_s:.0f} s: {problem}\n{logs}")

    def _what_is_missing(self, admin: AdminClient) -> str:
        """Empty when all is well."""
        metadata = admin.list_topics(timeout=3)
        if len(metadata.brokers) < len(self._places):
            return f"{len(metadata.brokers)} of {len(self._places)} brokers"
        behind = [
            f"{name}[{partition.id}]"
            for name, topic in metadata.topics.items()
            for partition in topic.partitions.values()
            if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)
        ]
        return f"replicas behind: {behind[:5]}" if behind else ""

    def _log(self, broker: int) -> Path:
        return self.directory / f"broker{broker}.log"

    def _properties(self, broker: int) -> Path:
        return self.directory / f"broker{broker}.properties"

    def _start_broker(self, broker: int) -> None:
        command = [*_JAVA, "-cp", kafka_classpath(), "kafka.Kafka", str(self._properties(broker))]
        self._children[broker] = start_server(command, self._log(broker))

    def _prepare(self, classpath: str) -> None:
        """Certificates, properties files and formatted data folders, each only once."""
        keystore = self.directory / "keys.p12" if self.secure else None
        if keystore and not keystore.exists():
            _make_keys(keystore)
        formatting: list[subprocess.Popen[bytes]] = []
        for place in self._places:
            self._properties(place.number).write_text(broker_properties(place, self._places, keystore))
            if not (place.data / "meta.properties").exists():
                formatting.append(self._format(place, classpath))
        for process in formatting:
            output, _ = process.communicate(timeout=_FORMAT_S)
            if process.returncode != 0:
                raise RuntimeError(f"could not format a broker's folder: {output.decode(errors='replace')}")

    def _format(self, place: BrokerPlace, classpath: str) -> subprocess.Popen[bytes]:
        command = [*_JAVA, "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID]
        command += ["-c", str(self._properties(place.number))]
        for user, password in PASSWORDS.items() if self.secure else ():
            command += ["--add-scram", f"SCRAM-SHA-256=[name={user},password={password}]"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _make_keys(keystore: Path) -> None:
    """A key pair for 127.0.0.1 and, as ca.pem beside it, the certificate that clients trust."""
    store = ["-alias", "broker", "-keystore", str(keystore), "-storepass", STORE_PASSWORD]
    names = ["-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1,dns:localhost", "-validity", "30"]
    ca = str(keystore.with_name("ca.pem"))
    for command in (
        ["keytool", "-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12", *names, *store],
        ["keytool", "-exportcert", "-rfc", "-file", ca, *store],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
