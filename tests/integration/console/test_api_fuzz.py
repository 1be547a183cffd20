"""schemathesis asks the API whatever its description allows, and some that it does not: no answer is a 5xx.

On both databases: what one of them takes for a text or a number the other may refuse.
"""

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.support.console_pages import seed, settings_of
from tests.support.risks import NOW
from worker.console.store import Store
from worker.console.web.access import Access
from worker.console.web.app import create_app
from worker.console.web.parts import Console

TOKEN = "a-token-of-this-test"
HEADERS = {"authorization": f"Bearer {TOKEN}", "host": "127.0.0.1"}
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
OPERATIONS = 17
EXAMPLES = 10


@pytest.mark.timeout(600)
def test_no_answer_is_a_server_error(store: Store) -> None:
    seed(store)
    local = settings_of(user_header=None, trusted_proxies=[], token_secret=TOKEN, requests_per_minute=1_000_000)
    app = create_app(Console(local, store, Access(local.console), clock=lambda: NOW))
    described = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HEADERS)
    asked = 0
    for found in described.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an error has none, and raises
        _ask(operation, GenerationMode.POSITIVE)
        with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
            _ask(operation, GenerationMode.NEGATIVE)
        asked += 1
    assert asked == OPERATIONS


def _ask(operation: Any, mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    ask()
