"""A guard's factory that dies of an error which quotes a secret, as a careless client library may."""

import os
from pathlib import Path

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


def quoting(_options: GuardOptions, _policy: Policy) -> Guard:
    """Raises RuntimeError with the Kafka password, plain and as Python writes it."""
    password = Path(os.environ["PROGUARD_SECRETS_DIR"], "kafka__client__sasl_password").read_text()
    raise RuntimeError(f"cannot log in with {password} ({password!r})")
