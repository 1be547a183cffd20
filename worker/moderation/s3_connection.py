"""How S3 is reached: credentials, region and endpoint as boto3 finds them, requests by obstore, redirects refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from obstore.store import S3Store

from worker.moderation.s3_errors import FENCE
from worker.settings import ObjectSettings

if TYPE_CHECKING:  # these exist in obstore's stubs only
    from obstore.store import ClientConfig, S3Credential

_FALLBACK_REGION = "us-east-1"
# botocore renews what expires; obstore comes back for it this often (it keeps five minutes of distance to the end).
_LIFETIME = timedelta(minutes=10)


class NoCredentialsFound(Exception):
    """boto3's chain (environment, profile, web identity, container, instance) has no credentials."""


class Connection:
    """One search for credentials and endpoint. Blocking: build it in a thread."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        try:
            session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
            credentials = session.get_credentials()
        except BotoCoreError as error:
            raise NoCredentialsFound(str(error)) from None
        if credentials is None:
            raise NoCredentialsFound("no S3 credentials were found (environment, profile, web identity, instance)")
        self._credentials: Credentials = credentials
        self._region = session.region_name or _FALLBACK_REGION
        # A client is built for its address alone: it knows AWS_ENDPOINT_URL_S3, profiles' services and partitions.
        client = session.client(
            "s3",
            region_name=self._region,
            endpoint_url=settings.endpoint_url,
            config=Config(s3={"addressing_style": "path"}),
        )
        self._endpoint = str(client.meta.endpoint_url)

    @property
    def endpoint(self) -> str:
        """The service's address, without a bucket."""
        return self._endpoint

    def open(self, bucket: str) -> S3Store:
        """A store of one bucket."""
        virtual = self._is_virtual(bucket)
        return S3Store(
            bucket,
            endpoint=self._with_bucket(bucket) if virtual else self._endpoint,
            region=self._region,
            virtual_hosted_style_request=virtual,
            client_options=self._client_options(bucket if virtual else None),
            retry_config={"max_retries": 0},
            credential_provider=self._provide,
        )

    async def _provide(self) -> "S3Credential":
        frozen = await asyncio.to_thread(self._credentials.get_frozen_credentials)
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _LIFETIME,
        }

    def _is_virtual(self, bucket: str) -> bool:
        if self._settings.addressing_style is not None:
            return self._settings.addressing_style == "virtual"
        # A bucket with dots does not match AWS's wildcard certificate.
        return ".amazonaws.com" in self._endpoint and "." not in bucket

    def _with_bucket(self, bucket: str) -> str:
        parts = urlsplit(self._endpoint)
        return urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))

    def _client_options(self, bucket: str | None) -> "ClientConfig":
        """Timeouts, and the fence against redirects.

        The HTTP client below obstore follows redirects and cannot be told not to. So every host but the endpoint's own
        is sent through a proxy on port 0, where no connection can ever be made: a redirect ends there. A redirect to
        the same host carries a signature for another path, which S3 refuses. It also keeps HTTP_PROXY out of the way.
        """
        parts = urlsplit(self._endpoint)
        host = parts.hostname or ""
        return {
            "allow_http": parts.scheme == "http",
            "connect_timeout": timedelta(seconds=self._settings.connect_timeout_s),
            "timeout": timedelta(seconds=self._settings.timeout_s),
            "read_timeout": timedelta(seconds=self._settings.timeout_s),
            "proxy_url": f"http://{FENCE}",
            "proxy_excludes": f"{bucket}.{host}" if bucket else host,
        }
