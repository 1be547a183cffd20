"""The registry on a real S3 server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from proguard_core.training.gate.report import Finding, Report, Status
from proguard_core.training.promotion import SignatureWantedError, finish_gate, promote, sign
from proguard_core.training.registry.champions import Champions, Current, LostRaceError
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.lease import Lease, LeaseHeldError
from proguard_core.training.registry.patience import PatientStore
from proguard_core.training.registry.records import DamagedError, Step
from proguard_core.training.registry.runs import Registry, Run
from proguard_core.training.registry.sign_offs import sign_off, signed
from proguard_core.training.registry.store import Refused, Store, Unavailable
from tests.support.s3_server import S3Server
from tests.support.store_contract import StoreContract
from tests.unit.training.registry.builders import registry_of, trained
from worker.errors import ConfigurationError
from worker.retraining.registry_store import S3Store, open_store
from worker.settings import ObjectSettings


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3Server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def settings_of(s3: S3Server) -> ObjectSettings:
    """Patient: a put that ends in doubt is no loser of a race, and CI's processors are busy with other tests."""
    return ObjectSettings(endpoint_url=s3.endpoint_url, region="us-east-1", connect_timeout_s=10, timeout_s=60)


@pytest.fixture
def store(s3: S3Server, bucket: str) -> Store:
    return open_store(f"s3://{bucket}/guards/one", settings_of(s3))


class TestOnS3(StoreContract):
    pass


def test_the_server_keeps_conditions(store: Store) -> None:
    assert isinstance(store, S3Store)
    store.check()
    store.check()


@pytest.fixture
def registry(store: Store) -> Registry:
    return registry_of(store)


def test_the_whole_way(registry: Registry, tmp_path: Path) -> None:
    champions = Champions(registry)
    with Lease(registry) as lease:
        champions.release(trained(registry, tmp_path, "one"), "ops", "shipped")
        with pytest.raises(LeaseHeldError):
            Lease(registry).take()
        lease.renew()
        lease.check()
        champions.promote(trained(registry, tmp_path, "two", "one"), "retrain", "passed")
    current = champions.current()
    assert current is not None
    assert champions.changed(current.tag) is None
    assert champions.roll_back("Ada", "it forgot C5").run == "one"
    changed = champions.changed(current.tag)
    assert changed is not None
    champions.fetch(changed.champion, tmp_path / "served")
    assert (tmp_path / "served" / "model.onnx").read_bytes() == b"weights of one"
    assert [each.run for each in champions.history()] == ["one", "two", "one"]
    assert registry.run_ids() == ["one", "two"]
    sign_off(registry.run("two"), "a" * 64, "Ada")
    assert signed(registry.run("two"), "a" * 64) == ("Ada",)
    with Lease(registry):
        pass


def test_of_many_promotions_at_once_one_stands(registry: Registry, store: Store, tmp_path: Path) -> None:
    champions = Champions(registry)
    champions.release(trained(registry, tmp_path, "first"), "ops", "shipped")
    runs = [trained(registry, tmp_path, f"run-{at}", "first") for at in range(6)]
    begin = threading.Barrier(len(runs))

    def promote(run: Run) -> str | None:
        begin.wait()
        try:
            return Champions(registry_of(store)).promote(run, "retrain", "").run
        except LostRaceError:
            return None

    with ThreadPoolExecutor(len(runs)) as pool:
        won = [run for run in pool.map(promote, runs) if run]
    assert len(won) == 1
    assert [each.run for each in champions.history()] == [*won, "first"]


def test_s3_away_while_promoting(s3: S3Server, store: Store, tmp_path: Path) -> None:
    """It stops for good before the promotion: nothing changes. It comes back during the next: that one is done."""
    registry = registry_of(store)
    champions = Champions(registry)
    champions.release(trained(registry, tmp_path, "one"), "ops", "shipped")
    run = trained(registry, tmp_path, "two", "one")
    s3.stop()
    try:
        with pytest.raises(Unavailable):
            champions.promote(run, "retrain", "")
        patient = Champions(registry_of(PatientStore(store, patience_s=60)))
        pool = ThreadPoolExecutor(1)
        promotion = pool.submit(patient.promote, run, "retrain", "the gate passed")
        time.sleep(1.5)
        assert not promotion.done()
    finally:
        s3.start()
    made = promotion.result(60)
    pool.shutdown()
    assert champions.history()[0].digest == made.digest
    assert [each.run for each in champions.history()] == ["two", "one"]


def ask_for_two_seconds(champions: Champions) -> None:
    """Threads of a stopped process may finish what they are at."""
    for _ in range(20):
        champions.current()
        time.sleep(0.1)


def once_available(champions: Champions) -> Current | None:
    """One second may be short for a server that just woke up."""
    for _ in range(10):
        with suppress(Unavailable):
            return champions.current()
    raise AssertionError("still unavailable")


def test_s3_that_never_answers(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    address = f"s3://{bucket}/guards"
    patient = registry_of(open_store(address, settings_of(s3)))
    champions = Champions(patient)
    champions.release(trained(patient, tmp_path, "one"), "ops", "shipped")
    quick = settings_of(s3).model_copy(update={"timeout_s": 1.0})
    asked = Champions(registry_of(open_store(address, quick)))
    s3.suspend()
    try:
        with pytest.raises(Unavailable):
            ask_for_two_seconds(asked)
    finally:
        s3.resume()
    current = once_available(asked)
    assert current is not None
    assert current.champion.run == "one"


def test_half_written_artefacts_are_refused(
    s3: S3Server, bucket: str, store: Store, registry: Registry, tmp_path: Path
) -> None:
    champions = Champions(registry)
    champions.release(trained(registry, tmp_path, "one"), "ops", "shipped")
    run = trained(registry, tmp_path, "two", "one")
    key = run.finished(Step.TRAIN).key_of("model.onnx")
    s3.client().put_object(Bucket=bucket, Key=f"guards/one/{key}", Body=b"weigh")
    with pytest.raises(DamagedError, match="not what its manifest says"):
        champions.promote(run, "retrain", "")
    s3.client().delete_object(Bucket=bucket, Key=f"guards/one/{key}")
    with pytest.raises(DamagedError, match="missing"):
        champions.promote(run, "retrain", "")
    current = champions.current()
    assert current is not None
    assert current.champion.run == "one"


def test_rights_and_buckets_are_named(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="NoSuchBucket"):
        open_store("s3://no-such-bucket-here", settings_of(s3)).read("champion.json")
    for name, value in s3.reader_environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match="AccessDenied"):
        open_store(f"s3://{bucket}", settings_of(s3)).create("champion.json", b"{}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Refused, match="correct the keys"):
        open_store(f"s3://{bucket}", settings_of(s3)).read("champion.json")


@pytest.mark.parametrize("address", ["", "s3://", "s3:///x", "https://host/x", "s3://bucket/ü", "s3://bucket/a/../b"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match="the registry"):
        open_store(address, ObjectSettings())


def test_a_folder_is_a_registry(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "registry"), ObjectSettings())
    assert isinstance(store, FolderStore)
    assert store.address == str(tmp_path / "registry")


def test_a_gate_and_a_signature_on_s3(registry: Registry, tmp_path: Path) -> None:
    champions = Champions(registry)
    champions.release(trained(registry, tmp_path, "one"), "ops", "shipped")
    run = trained(registry, tmp_path, "two", "one")
    report = Report({}, [Finding("modality", "image", Status.NOT_JUDGED, "12 rows, 1500 are needed")])
    finish_gate(run, report)
    finish_gate(run, report)
    with pytest.raises(SignatureWantedError):
        promote(champions, run)
    sign(run, "Ada", report=report.digest)
    assert promote(champions, run).signed_by == ("Ada",)
