"""`proguard` as a process with settings of its own, and the ACLs of the secure broker."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.topics import TopicNames
from worker.settings import Settings, load


def settings_for(config: ClientConfig, topics: TopicNames, **sections: dict[str, Any]) -> Settings:
    """Settings that connect with config; the group is named after the posts topic."""
    return load(None, overrides_for(config, topics, **sections))


def overrides_for(config: ClientConfig, topics: TopicNames, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same as nested tables."""
    client = {name: str(value) for name, value in config.items() if name != "bootstrap.servers"}
    kafka = {"bootstrap_servers": config["bootstrap.servers"], "group_id": topics.posts, "client": client}
    tables = {"kafka": kafka, "topics": asdict(topics), "guard": {"engine": "tests.support.guards:scripted"}}
    for section, keys in sections.items():
        tables[section] = {**tables.get(section, {}), **keys}
    return tables


def proguard(
    settings: Mapping[str, Mapping[str, Any]], *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`proguard ARGUMENTS` with settings in its environment; returns when it has ended."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROGUARD_", "AWS_"))}
    given = {
        f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, table in settings.items()
        for key, value in table.items()
    }
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        env={**inherited, "PROGUARD_TELEMETRY__PORT": "0", **given, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def grant(cluster: KafkaCluster, resource: ResourceType, name: str, *operations: AclOperation) -> None:
    """Give the user `worker` rights on a topic, group or transactional id."""
    admin = AdminClient(cluster.client_config())
    bindings = [
        AclBinding(resource, name, ResourcePatternType.LITERAL, "User:worker", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(30)
