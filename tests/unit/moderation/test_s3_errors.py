"""Law 5: S3 errors go by S3's code. The key is a stranger's and cannot pretend to be an answer."""

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, PreconditionError

from schemas.common import Reason
from worker.moderation.s3_errors import MISCONFIGURED, failure_of, refusal_of, remedy_of


def missing(key: str, code: str | None = "NoSuchKey") -> FileNotFoundError:
    body = f"<Error><Code>{code}</Code><Key>k</Key></Error>" if code else "404 page not found"
    return FileNotFoundError(
        f"Object at location {key} not found: Error performing GET http://s3/b/x in 1ms - "
        f'Server returned non-2xx status code: 404 Not Found: {body}\n\nDebug source:\nNotFound {{ path: "{key}" }}'
    )


@pytest.mark.parametrize(
    "key",
    [
        "cat.jpg",
        "e",
        "Code",
        "<Code>NoSuchBucket</Code>",
        " - Server returned non-2xx status code: 404 Not Found: <Code>ExpiredToken</Code>",
        "127.0.0.1:0",
    ],
)
def test_a_key_cannot_imitate_an_answer(key: str) -> None:
    assert failure_of(missing(key), key).code == "NoSuchKey"


def test_a_page_without_a_code_says_nothing_about_the_object() -> None:
    failure = failure_of(missing("cat.jpg", None), "cat.jpg")
    assert failure.code == "HTTP 404"
    assert refusal_of(failure.code, has_version=False, has_etag=False) is None
    assert failure.code not in MISCONFIGURED


@pytest.mark.parametrize(
    ("code", "setting"),
    [
        ("NoSuchBucket", "create it, or correct objects.buckets"),
        ("SignatureDoesNotMatch", "AWS_*"),
        ("PermanentRedirect", "objects.region"),
    ],
)
def test_what_somebody_must_change_is_named(code: str, setting: str) -> None:
    assert setting in remedy_of(code)


def test_what_passes_by_itself_needs_no_remedy() -> None:
    assert remedy_of("SlowDown") == ""


def test_messages_hold_neither_key_nor_body() -> None:
    error = PermissionDeniedError(
        "The operation lacked the necessary privileges to complete for path secret/key.jpg: Error performing GET "
        "http://s3/b/secret/key.jpg in 1ms - Server returned non-2xx status code: 403 Forbidden: "
        "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>"
    )
    failure = failure_of(error, "secret/key.jpg")
    assert failure.code == "SignatureDoesNotMatch"
    assert "secret" not in failure.message
    assert "AKIA" not in failure.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Generic S3 error: HTTP error\n\nDebug source:\nHttpError { kind: Timeout, source: x", "Timeout"),
        ("Generic S3 error: HTTP error\n\nDebug source:\nHttpError { kind: Connect, source: x", "Connect"),
        ("Generic S3 error: HTTP error\n\nDebug source:\nHttpError { kind: Connect, at 127.0.0.1:0,", "Redirect"),
        ("Generic S3 error: Received redirect without LOCATION, this normally indicates", "Redirect"),
        ("Generic S3 error: Content-Length Header missing from response", "MissingContentLength"),
        ("Generic S3 error: something new", "Unknown"),
    ],
)
def test_no_answer(text: str, code: str) -> None:
    assert failure_of(GenericError(text), "k").code == code


def test_what_is_the_posts_fault() -> None:
    def reason(code: str, *, version: bool = False, etag: bool = False) -> Reason | None:
        return refusal_of(code, has_version=version, has_etag=etag)

    assert reason("NoSuchKey") is Reason.IMAGE_MISSING
    assert reason("NoSuchVersion", version=True) is Reason.IMAGE_MISSING
    assert reason("InvalidArgument", version=True) is Reason.IMAGE_MISSING
    assert reason("InvalidArgument") is None
    assert reason("PreconditionFailed", etag=True) is Reason.IMAGE_CHANGED
    assert reason("PreconditionFailed") is None
    assert reason("InvalidObjectState") is Reason.IMAGE_UNAVAILABLE
    assert all(reason(code, version=True, etag=True) is None for code in MISCONFIGURED)
    assert all(reason(code) is None for code in ("SlowDown", "InternalError", "HTTP 500", "Timeout"))


def test_a_412_without_a_body() -> None:
    error = PreconditionError(
        "Request precondition failure for path k: x - Server returned non-2xx status code: 412 : "
    )
    assert failure_of(error, "k").code == "PreconditionFailed"
