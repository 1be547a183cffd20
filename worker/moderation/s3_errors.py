"""What an answer of S3 means: the post's fault, the service's, or not known. By S3's code, not by HTTP status.

A 404 page of a gateway, for example, carries no code and says nothing about the object.
"""

import re
from dataclasses import dataclass

from obstore.exceptions import GenericError, PreconditionError

from schemas.common import Reason

# A proxy that cannot exist: see `worker.moderation.objects`.
FENCE = "127.0.0.1:0"

REDIRECT = "Redirect"
TIMEOUT = "Timeout"

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "KeyTooLongError"})
# With a version id: it is malformed, or it names a delete marker.
_MISSING_VERSION = frozenset({"InvalidArgument", "MethodNotAllowed", "NoSuchKey", "NoSuchVersion"})

CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "InvalidSecurity",
        "InvalidClientTokenId",
    }
)
MISCONFIGURED = CREDENTIALS | {
    "NoSuchBucket",
    "InvalidBucketName",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "AllAccessDisabled",
    "AccountProblem",
    "NotSignedUp",
    "CredentialsNotSupported",
}
_REMEDIES = {
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), "create it, or correct objects.buckets"),
    **dict.fromkeys(CREDENTIALS, "correct the keys (AWS_*, or objects.profile)"),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "PermanentRedirect"), "correct objects.region or objects.endpoint_url"
    ),
}
# The service stands and knows the bucket, whatever it says about this object.
ANSWERS = frozenset({"NoSuchKey", "NoSuchVersion", "AccessDenied"})

_STATUS = re.compile(r" - Server returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9._-]{1,100})\s*</Code>")
_KIND = re.compile(r"kind: (Timeout|Connect|Interrupted|Decode|Request)\b")


@dataclass(frozen=True, slots=True)
class Failure:
    """code: S3's own, or `HTTP 500`, `Timeout`, `Connect` and the like where S3 said none. message: fit for a log."""

    code: str
    message: str


def failure_of(error: Exception, key: str) -> Failure:
    """What obstore's exception says. The message holds neither the key nor the body.

    obstore gives one text with location, address, status and body; the key is a stranger's and may imitate all of them.
    """
    text = str(error).partition("\n\nDebug source:")[0]
    if not isinstance(error, GenericError):  # these begin with the raw key; everywhere else it is percent-encoded
        text = text[max(0, text.find(key)) + len(key) :]
    if (status := _STATUS.search(text)) is None:
        return _without_answer(str(error))
    code = _CODE.search(text, status.end())
    if code is not None:
        return Failure(code.group(1), f"S3 answered {status.group(1)} {code.group(1)}")
    if isinstance(error, PreconditionError):
        return Failure("PreconditionFailed", "S3 answered 412")
    return Failure(f"HTTP {status.group(1)}", f"the endpoint answered {status.group(1)} without an S3 error code")


def _without_answer(text: str) -> Failure:
    if FENCE in text or "Received redirect without LOCATION" in text:
        return Failure(REDIRECT, "S3 answered with a redirect, which is refused: check region and endpoint_url")
    if (kind := _KIND.search(text)) is not None:
        return Failure(kind.group(1), f"no answer from S3 ({kind.group(1).lower()} error)")
    if "Content-Length" in text:
        return Failure("MissingContentLength", "S3 answered without the size of the object")
    return Failure("Unknown", "the request to S3 failed")


def remedy_of(code: str) -> str:
    """What somebody must change, as `: do this`; empty where the code does not tell."""
    return f": {_REMEDIES[code]}" if code in _REMEDIES else ""


def refusal_of(code: str, *, has_version: bool, has_etag: bool) -> Reason | None:
    """The verdict's reason where this code is about the object alone, else None. AccessDenied is not decided here."""
    if code in _MISSING or (has_version and code in _MISSING_VERSION):
        return Reason.IMAGE_MISSING
    if code == "PreconditionFailed" and has_etag:
        return Reason.IMAGE_CHANGED
    if code == "InvalidObjectState":  # archived to a storage class that cannot be read
        return Reason.IMAGE_UNAVAILABLE
    return None
