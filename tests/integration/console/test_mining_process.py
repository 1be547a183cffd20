"""`proguard console mine` as a process on a real broker: a crash, a signal, its metrics, stores that it cannot use."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from tests.support.command_line import overrides_for
from tests.support.console_process import ConsoleProcess
from tests.support.risks import hit, verdict
from tests.support.scrape import Telemetry
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce
from worker.console.store import Store, reading
from worker.console.store.models import RiskRow
from worker.local.child import free_ports
from worker.telemetry.mining_table import MINING_METRICS

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'risks.db'}", create=True)
    yield store
    store.close()


def process(stream: StreamUnderTest, port: int = 0, **console: object) -> ConsoleProcess:
    own = {"store_path": str(stream.directory / "risks.db"), "refresh_every_s": 1, "mine_every_s": 0.1, **console}
    tables = overrides_for(stream.config, stream.topics, console=own, telemetry={"port": port})
    return ConsoleProcess(tables, stream.directory / "mine.log", "mine")


def send(stream: StreamUnderTest, first: int, last: int) -> None:
    """A hit and a verdict each."""
    hits = [(b"%d" % at, hit(at).model_dump_json().encode()) for at in range(first, last)]
    verdicts = [(b"%d" % at, verdict(at, f"post-{at}", NOW)) for at in range(first, last)]
    produce(stream.config, stream.topics.retraining, hits)
    produce(stream.config, stream.topics.verdicts, verdicts)


def mined(store: Store) -> tuple[int, int]:
    """Risks, and verdicts that were counted."""
    span = reading.RateFilter(NOW - timedelta(days=1), NOW + timedelta(days=1))
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(RiskRow)) or 0, sum(
            reading.rates(session, span).values()
        )


@pytest.mark.timeout(240)
def test_each_record_counts_once_over_a_crash_and_a_signal(plain_stream: StreamUnderTest, store: Store) -> None:
    (port,) = free_ports(1)
    pages = Telemetry(port)
    send(plain_stream, 0, 200)
    with process(plain_stream, port) as mining:
        mining.until(lambda: mined(store)[1] > 0)
        mining.kill()
        send(plain_stream, 200, 300)
        mining.start()
        mining.until(lambda: mined(store) == (300, 300))
        mining.until(lambda: pages.status()["lag"].get(plain_stream.topics.verdicts) == 0)
        assert pages.ok("/livez")
        families = pages.families()
        assert families.keys() >= {each.prometheus_name for each in MINING_METRICS if not each.attributes}, (
            families.keys()
        )
        assert mining.terminate() == 0
        send(plain_stream, 300, 310)
        mining.start()
        mining.until(lambda: mined(store) == (310, 310))
        mining.until(lambda: pages.value("proguard_mining_records_total") == 20)
        assert mining.terminate() == 0
    assert "Traceback" not in mining.log


@pytest.mark.timeout(120)
def test_a_store_that_is_read_only_or_newer_ends_it_with_78(plain_stream: StreamUnderTest, store: Store) -> None:
    path = plain_stream.directory / "risks.db"
    with process(plain_stream, store_url_secret=f"sqlite:///file:{path}?mode=ro&uri=true") as mining:
        assert mining.wait() == 78, mining.log
    assert "the risk store cannot be written" in mining.log
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with process(plain_stream) as mining:
        assert mining.wait() == 78, mining.log
    assert "is newer than this code" in mining.log
    assert "Traceback" not in mining.log
