"""Before the first record: the topics that mining reads and writes are there, and the principal may."""

import logging
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin._acl import AclOperation

from worker import topics
from worker.errors import ConfigurationError
from worker.moderation import startup
from worker.settings import Settings

log = logging.getLogger(__name__)

_READ, _WRITE = AclOperation.READ, AclOperation.WRITE
_NEEDED = {"verdicts": (_READ,), "risks": (_READ,), "retraining": (_READ,), "reviews": (_READ, _WRITE)}


def check(settings: Settings, stop: Callable[[], bool]) -> bool:
    """Wait for the broker and ask it; False where stop() came first.

    ConfigurationError names every topic that is missing and every right: while it runs the broker would say one only
    once it is needed, and the one to write reviews when somebody has decided.
    """
    plans = [topics.TopicPlan(role, {}, rights) for role, rights in _needed(settings).items()]
    while startup.wait_for_broker(settings, stop):
        try:
            states = topics.look(topics.open_admin(settings), settings, plans)
        except KafkaException as error:
            log.warning("the broker does not answer questions about topics: %s", topics.text_of(error))
            continue
        if errors := [error for state in states for error in topics.errors_of(state, 0)]:
            raise ConfigurationError("\n".join(errors))
        return True
    return False


def _needed(settings: Settings) -> dict[str, tuple[AclOperation, ...]]:
    """Rights by the topic's role. Posts are read for the audit sample alone."""
    return _NEEDED | ({"posts": (_READ,)} if settings.console.audit_share > 0 else {})
