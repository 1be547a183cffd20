"""The broker's configuration file: small, quick to notice dead members, and nothing created that was not asked for."""

from dataclasses import dataclass
from pathlib import Path

ADMIN = "admin"
WORKER = "worker"
PASSWORDS = {ADMIN: "admin-secret", WORKER: "worker-secret"}
STORE_PASSWORD = "changeit"

# A dead worker or broker must be noticed within seconds, or each fault test waits for minutes.
_QUICK = {
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "transaction.max.timeout.ms": "120000",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "replica.lag.time.max.ms": "10000",
    "log.retention.check.interval.ms": "5000",
    "log.cleaner.backoff.ms": "1000",
    "controlled.shutdown.enable": "true",
}


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """Where one broker listens and keeps its data. slow: the port it listens on behind a proxy, and the proxy's."""

    number: int
    port: int
    controller_port: int
    data: Path
    slow: tuple[int, int] | None = None


def broker_properties(place: BrokerPlace, places: list[BrokerPlace], keystore: Path | None, mtls_port: int = 0) -> str:
    """The properties file of one broker that is also a controller; keystore given means TLS, logins and ACLs."""
    protocol = "SASL_SSL" if keystore else "PLAINTEXT"
    replicas = min(3, len(places))
    values = {
        "process.roles": "broker,controller",
        "node.id": str(place.number),
        "controller.quorum.voters": ",".join(f"{each.number}@127.0.0.1:{each.controller_port}" for each in places),
        "listeners": f"{protocol}://127.0.0.1:{place.port},CONTROLLER://127.0.0.1:{place.controller_port}",
        "advertised.listeners": f"{protocol}://127.0.0.1:{place.port}",
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": protocol,
        "log.dirs": str(place.data),
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(max(1, replicas - 1)),
    }
    if place.slow is not None:
        values["listeners"] += f",SLOW://127.0.0.1:{place.slow[0]}"
        values["advertised.listeners"] += f",SLOW://127.0.0.1:{place.slow[1]}"
        values["listener.security.protocol.map"] += ",SLOW:PLAINTEXT"
    if keystore is not None:
        values["listeners"] += f",MTLS://127.0.0.1:{mtls_port}"
        values["advertised.listeners"] += f",MTLS://127.0.0.1:{mtls_port}"
        values["listener.security.protocol.map"] += ",MTLS:SSL"
    values |= _QUICK | (_security(keystore) if keystore else {})
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _security(keystore: Path) -> dict[str, str]:
    common, listener = "org.apache.kafka.common.security", "listener.name.sasl_ssl"
    login = f'username="{ADMIN}" password="{PASSWORDS[ADMIN]}"'
    users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
    return {
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN,OAUTHBEARER",
        f"{listener}.scram-sha-256.sasl.jaas.config": f"{common}.scram.ScramLoginModule required {login};",
        f"{listener}.plain.sasl.jaas.config": f"{common}.plain.PlainLoginModule required {login} {users};",
        # Without a validator of its own the broker takes tokens that nobody signed, which is enough to see one pass.
        f"{listener}.oauthbearer.sasl.jaas.config": (
            f'{common}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="{ADMIN}";'
        ),
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "ssl.keystore.location": str(keystore),
        "ssl.keystore.password": STORE_PASSWORD,
        "ssl.keystore.type": "PKCS12",
        "ssl.truststore.location": str(keystore.with_name("ca.pem")),
        "ssl.truststore.type": "PEM",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller's own listener has no login, so it speaks as ANONYMOUS; clients cannot reach it by name.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }
