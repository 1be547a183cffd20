"""A real Apache Kafka (KRaft) of one or three brokers on 127.0.0.1, for tests and benchmarks; needs Java and Maven."""

import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.kafka_jars import kafka_classpath
from tests.support.kafka_keys import make_keys
from tests.support.kafka_properties import ADMIN, PASSWORDS, STORE_PASSWORD, WORKER, BrokerPlace, broker_properties
from tests.support.processes import start_server, tail
from tests.support.slow_network import Link, SlowNetwork
from worker.local.child import Child, free_ports

ClientConfig = dict[str, str | int | float | bool]

_CLUSTER_ID = "cHJvZ3VhcmQtdGVzdHMtMQ"
_JAVA = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_READY_S = 90.0
_FORMAT_S = 60.0


class KafkaCluster:
    """Brokers as child processes; a context manager. Brokers count from 1 and keep their port and data over restarts.

    With secure, clients need SASL_SSL and SCRAM-SHA-256, PLAIN or OAUTHBEARER (unsecured tokens), or a certificate at
    mtls_servers. Users: admin, a super user, and worker, without any right until ACLs give it some. Logs lie in
    directory as broker1.log and so on. Memory: about 350 MB a broker.
    With slow_network, clients that start from slow_servers reach each broker (plain, without login) through a link of
    its own that can be slow or cut; brokers, and all other clients, do not pass there.
    """

    def __init__(
        self, directory: Path, brokers: Literal[1, 3] = 1, secure: bool = False, slow_network: bool = False
    ) -> None:
        self.directory = directory
        self.secure = secure
        self.slow_network = slow_network
        self.links: dict[int, Link] = {}
        self._network: SlowNetwork | None = None
        ports = iter(free_ports(3 * brokers))
        self._places = [
            BrokerPlace(number, next(ports), next(ports), directory / f"data{number}")
            for number in range(1, brokers + 1)
        ]
        self._ports_behind_links = list(ports)
        self._mtls_ports = free_ports(brokers) if secure else []
        self._children: dict[int, Child] = {}

    @property
    def bootstrap_servers(self) -> str:
        """All brokers, those that are down too."""
        return ",".join(f"127.0.0.1:{place.port}" for place in self._places)

    @property
    def mtls_servers(self) -> str:
        """All brokers of a secure cluster, where a client's certificate is its login."""
        return ",".join(f"127.0.0.1:{port}" for port in self._mtls_ports)

    @property
    def slow_servers(self) -> str:
        """All brokers, through their links."""
        return ",".join(f"127.0.0.1:{link.port}" for link in self.links.values())

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
        classpath = kafka_classpath()
        if self.slow_network:
            self._link()
        self._prepare(classpath)
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
        if self._network is not None:
            self._network.stop()
            self._network = None

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

    def _link(self) -> None:
        """A link to each broker's other listener; before the brokers start, since they advertise it."""
        self._network = SlowNetwork().start()
        for index, port in enumerate(self._ports_behind_links):
            link = self._network.link(port)
            self._places[index] = replace(self._places[index], slow=(port, link.port))
            self.links[index + 1] = link

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
            make_keys(keystore, STORE_PASSWORD, WORKER)
        formatting: list[subprocess.Popen[bytes]] = []
        for place in self._places:
            mtls_port = self._mtls_ports[place.number - 1] if self.secure else 0
            self._properties(place.number).write_text(broker_properties(place, self._places, keystore, mtls_port))
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
