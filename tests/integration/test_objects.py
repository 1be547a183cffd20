"""Laws 5 and 8 for S3: on a real server, and on one that misbehaves."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.common import Reason
from schemas.post import ImageReference
from tests.support.faulty_s3 import Answer, FaultyS3, failing
from tests.support.s3_server import S3Server
from worker.moderation.objects import ObjectRefused, ObjectStore, ObjectUnavailable
from worker.moderation.s3_connection import Connection
from worker.settings import ObjectSettings

WEIRD_KEYS = [
    "a b/ü~*'().bin",
    "100%25/a%2Fb+c",
    "q?x=1&y#z",
    "back\\slash",
    "a=b;c,d@e:f$g",
    "日本/語.png",
    "<Code>x</Code>",
]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3Server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def faulty() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


def settings_of(endpoint: str | None, *buckets: str, **others: Any) -> ObjectSettings:
    quick = {"connect_timeout_s": 1.0, "timeout_s": 5.0, "region": "us-east-1"}
    return ObjectSettings(endpoint_url=endpoint, buckets=buckets, **{**quick, **others})


def at(faulty: FaultyS3, **others: Any) -> ObjectStore:
    return ObjectStore(settings_of(faulty.endpoint_url, "pics", **others))


def ref(uri: str, **others: Any) -> ImageReference:
    return ImageReference(uri=uri if uri.startswith("s3://") else f"s3://pics/{uri}", **others)


async def refusal(store: ObjectStore, reference: ImageReference) -> Reason:
    with pytest.raises(ObjectRefused) as caught:
        await store.get(reference)
    return caught.value.reason


async def unavailable(store: ObjectStore, reference: ImageReference) -> ObjectUnavailable:
    with pytest.raises(ObjectUnavailable) as caught:
        await store.get(reference)
    return caught.value


@pytest.mark.parametrize("key", WEIRD_KEYS)
async def test_the_object_of_exactly_this_key(s3: S3Server, bucket: str, key: str) -> None:
    s3.client().put_object(Bucket=bucket, Key=key, Body=key.encode())
    store = ObjectStore(settings_of(s3.endpoint_url, bucket))
    sizes: list[int] = []
    assert await store.get(ref(f"s3://{bucket}/{key}"), sizes.append) == key.encode()
    assert sizes == [len(key.encode())]


async def test_versions_and_etags(s3: S3Server, bucket: str) -> None:
    client = s3.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="k", Body=b"old")
    new = client.put_object(Bucket=bucket, Key="k", Body=b"newer")
    store = ObjectStore(settings_of(s3.endpoint_url, bucket))
    uri = f"s3://{bucket}/k"
    assert await store.get(ref(uri)) == b"newer"
    assert await store.get(ref(uri, version_id=old["VersionId"])) == b"old"
    assert await store.get(ref(uri, etag=new["ETag"])) == b"newer"
    assert await store.get(ref(uri, etag=new["ETag"].strip('"'))) == b"newer"
    assert await refusal(store, ref(uri, etag=old["ETag"])) is Reason.IMAGE_CHANGED
    assert await refusal(store, ref(uri, version_id="f" * 32)) is Reason.IMAGE_MISSING


async def test_missing_and_too_large_and_empty(s3: S3Server, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="big", Body=b"x" * 1001)
    s3.client().put_object(Bucket=bucket, Key="fits", Body=b"x" * 1000)
    s3.client().put_object(Bucket=bucket, Key="empty", Body=b"")
    store = ObjectStore(settings_of(s3.endpoint_url, bucket, max_bytes=1000))
    assert await refusal(store, ref(f"s3://{bucket}/nope")) is Reason.IMAGE_MISSING
    assert await refusal(store, ref(f"s3://{bucket}/big")) is Reason.IMAGE_TOO_LARGE
    assert len(await store.get(ref(f"s3://{bucket}/fits"))) == 1000
    assert await store.get(ref(f"s3://{bucket}/empty")) == b""


async def test_only_listed_buckets_are_asked(faulty: FaultyS3) -> None:
    faulty.put("other/a", b"x")
    assert await refusal(at(faulty), ref("s3://other/a")) is Reason.IMAGE_BUCKET_NOT_ALLOWED
    unchecked = ImageReference.model_construct(uri="s3://../pics/a")
    assert await refusal(at(faulty), unchecked) is Reason.IMAGE_MISSING
    assert faulty.total == 0


async def test_wrong_keys_and_a_missing_bucket_are_named_at_start(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ObjectStore(settings_of(s3.endpoint_url, bucket)).check_access() == []
    (absent,) = await ObjectStore(settings_of(s3.endpoint_url, "no-such-bucket")).check_access()
    assert (absent.reachable, "NoSuchBucket" in absent.message) == (True, True)
    assert absent.message.endswith("create it, or correct objects.buckets")
    for variable, code in (
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
    ):
        monkeypatch.setenv(variable, "wrong-" * 4)
        (problem,) = await ObjectStore(settings_of(s3.endpoint_url, bucket)).check_access()
        assert problem.reachable
        assert code in problem.message
        assert "wrong-" not in problem.message
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)


async def test_an_endpoint_that_is_not_there_is_no_misconfiguration_but_a_redirect_is(faulty: FaultyS3) -> None:
    (problem,) = await ObjectStore(settings_of("http://127.0.0.1:1", "pics")).check_access()
    assert not problem.reachable
    faulty.everything = failing(503, "SlowDown")
    (problem,) = await at(faulty).check_access()
    assert not problem.reachable
    faulty.everything = Answer(301, headers={"Location": "http://127.0.0.2:1/x"})
    (problem,) = await at(faulty).check_access()
    assert problem.reachable
    assert "region" in problem.message


async def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (problem,) = await ObjectStore(settings_of("http://127.0.0.1:1", "pics")).check_access()
    assert problem.reachable
    assert "credentials" in problem.message


async def test_a_profile_gives_keys_region_and_endpoint(
    faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    (tmp_path / "keys").write_text("[shop]\naws_access_key_id = PROFILEKEY\naws_secret_access_key = s\n")
    (tmp_path / "config").write_text(f"[profile shop]\nregion = eu-west-3\nendpoint_url = {faulty.endpoint_url}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    faulty.put("pics/a", b"x")
    assert await ObjectStore(settings_of(None, "pics", profile="shop", region=None)).get(ref("a")) == b"x"
    signature = faulty.seen_headers["pics/a"]["authorization"]
    assert "Credential=PROFILEKEY/" in signature
    assert "/eu-west-3/s3/" in signature


async def test_rotated_keys_are_read_again_without_a_restart(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client().put_object(Bucket=bucket, Key="k", Body=b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "expired")
    store = ObjectStore(settings_of(s3.endpoint_url, bucket))
    assert (await unavailable(store, ref(f"s3://{bucket}/k"))).dependency
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Server.secret_key)
    assert await store.get(ref(f"s3://{bucket}/k")) == b"x"


async def test_an_object_declared_at_one_gigabyte_is_refused_unread(faulty: FaultyS3) -> None:
    faulty.objects["pics/huge"] = Answer(body=b"x" * 64_000_000, declared=1 << 30)
    assert await refusal(at(faulty), ref("huge")) is Reason.IMAGE_TOO_LARGE
    await asyncio.sleep(0.3)
    assert faulty.bytes_sent["pics/huge"] < 32_000_000  # what sockets buffer; then the connection was closed


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_to_another_host_are_not_followed(faulty: FaultyS3, status: int) -> None:
    with FaultyS3("127.0.0.2") as elsewhere:
        elsewhere.put("pics/a", b"from elsewhere")
        faulty.objects["pics/a"] = Answer(status, headers={"Location": f"{elsewhere.endpoint_url}/pics/a"})
        assert (await unavailable(at(faulty), ref("a"))).code == "Redirect"
        assert elsewhere.total == 0


async def test_redirects_to_names_and_metadata_services_are_not_followed(faulty: FaultyS3) -> None:
    for target in ("http://169.254.169.254/latest/meta-data/", "https://example.com/x", "http://localhost:1/x"):
        faulty.objects["pics/a"] = Answer(307, headers={"Location": target})
        begun = time.monotonic()
        store = at(faulty, connect_timeout_s=30.0, timeout_s=60.0)
        assert (await unavailable(store, ref("a"))).code == "Redirect"
        assert time.monotonic() - begun < 15  # nobody answers there: who follows waits the whole 30 s


async def test_a_proxy_in_the_environment_is_not_used(faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    faulty.put("pics/a", b"x")
    assert await at(faulty).get(ref("a")) == b"x"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (404, "NoSuchBucket"),
        (403, "RequestTimeTooSkewed"), (400, "AuthorizationHeaderMalformed"), (400, "InvalidToken"),
    ],
)  # fmt: skip
async def test_codes_that_are_always_the_dependency(faulty: FaultyS3, status: int, code: str) -> None:
    faulty.everything = failing(status, code)
    error = await unavailable(at(faulty), ref("a"))
    assert (error.code, error.dependency) == (code, True)
    with pytest.raises(ObjectUnavailable):
        await at(faulty).probe("pics")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (failing(500, "InternalError"), "InternalError"),
        (failing(503, "SlowDown"), "SlowDown"),
        (failing(404, None), "HTTP 404"),
        (failing(403, None), "HTTP 403"),
        (failing(502, None), "HTTP 502"),
        (Answer(body=b"x" * 1000, reset=True), "Interrupted"),
        (Answer(body=b"x" * 10, declared=1000), "Interrupted"),
        (Answer(body=b"x", delay_s=2.0), "Timeout"),
    ],
)
async def test_errors_of_which_the_probe_must_tell(faulty: FaultyS3, answer: Answer, code: str) -> None:
    faulty.objects["pics/a"] = answer
    store = at(faulty, timeout_s=0.5)
    error = await unavailable(store, ref("a"))
    assert (error.code, error.dependency) == (code, False)
    assert faulty.requests["pics/a"] == 1  # obstore does not repeat by itself
    await store.probe("pics")  # another key: S3 answers


async def test_a_gateway_without_s3_behind_it_is_down(faulty: FaultyS3) -> None:
    faulty.everything = failing(404, None)
    with pytest.raises(ObjectUnavailable):
        await at(faulty).probe("pics")


async def test_the_probe_asks_for_the_last_object_that_was_had(faulty: FaultyS3) -> None:
    faulty.put("pics/good", b"x")
    store = at(faulty)
    await store.probe("pics")
    await store.get(ref("good"))
    await store.probe("pics")
    assert faulty.requests["pics/good"] == 2
    del faulty.objects["pics/good"]
    await store.probe("pics")  # deleted meanwhile: NoSuchKey is an answer too


async def test_a_run_of_access_denied_is_lost_rights_until_an_object_is_had(faulty: FaultyS3) -> None:
    faulty.put("pics/good", b"x")
    store = at(faulty, forbidden_run=5)
    await store.get(ref("good"))
    faulty.everything = failing(403, "AccessDenied")
    for number in range(4):
        assert await refusal(store, ref(f"a{number}")) is Reason.IMAGE_FORBIDDEN
    for number in range(4, 9):
        error = await unavailable(store, ref(f"a{number}"))
        assert (error.code, error.dependency) == ("AccessDenied", True)
        with pytest.raises(ObjectUnavailable, match="right to read"):
            await store.probe("pics")
    faulty.everything = None
    await store.probe("pics")  # `good` can be read again
    assert await store.get(ref("good")) == b"x"


async def test_forbidden_objects_among_readable_ones_are_the_posts_fault(faulty: FaultyS3) -> None:
    faulty.missing = failing(403, "AccessDenied")  # what S3 says of missing keys without ListBucket
    faulty.put("pics/good", b"x")
    store = at(faulty, forbidden_run=5)
    await store.get(ref("good"))
    for number in range(30):
        if number % 5 == 4:
            assert (await unavailable(store, ref(f"a{number}"))).dependency
            await store.probe("pics")
        assert await refusal(store, ref(f"a{number}")) is Reason.IMAGE_FORBIDDEN
        if number % 5 == 4:
            await store.get(ref("good"))


async def test_a_run_that_began_at_start_ends_when_a_refused_object_can_be_read(faulty: FaultyS3) -> None:
    faulty.put("pics/a", b"x")
    faulty.everything = failing(403, "AccessDenied")
    store = at(faulty, forbidden_run=1)
    assert (await unavailable(store, ref("a"))).dependency
    with pytest.raises(ObjectUnavailable):
        await store.probe("pics")
    faulty.everything = None
    await store.probe("pics")


def test_addressing_follows_the_endpoint_unless_it_is_set() -> None:
    def endpoint(bucket: str, url: str | None, **others: Any) -> tuple[object, object]:
        config = Connection(settings_of(url, bucket, **others)).open(bucket).config
        return config.get("endpoint"), str(config.get("virtual_hosted_style_request")) == "true"

    assert endpoint("pics", "http://s3.local:9000") == ("http://s3.local:9000", False)
    virtual = endpoint("pics", "http://s3.local:9000", addressing_style="virtual")
    assert virtual == ("http://pics.s3.local:9000", True)
    assert endpoint("pics", None, region="eu-west-3") == ("https://pics.s3.eu-west-3.amazonaws.com", True)
    assert endpoint("pi.cs", None, region="eu-west-3") == ("https://s3.eu-west-3.amazonaws.com", False)


@pytest.mark.parametrize("etag", ["a\nb", "ü", "\x7f"])
async def test_an_etag_that_no_header_can_hold(faulty: FaultyS3, etag: str) -> None:
    faulty.put("pics/a", b"x")
    assert await refusal(at(faulty), ref("a", etag=etag)) is Reason.IMAGE_CHANGED
