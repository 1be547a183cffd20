"""`[console]`, the part that the pages need."""

import ipaddress
from typing import Self

from pydantic import Field, field_validator, model_validator

from proguard_core.addresses import can_be_asked
from proguard_core.policy.taxonomy import CATEGORY_CODE, CATEGORY_NAMES, SUBCATEGORY_CODE, SUBCATEGORY_NAMES
from worker.setting_section import Section

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class WebSettings(Section):
    """Where the console listens, who may do what, and what is shown only when asked for."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="Where it listens; another needs user_header or token_secret."
    )
    port: int = Field(8470, ge=0, le=65_535, description="0: any free one.")
    public_url: str | None = Field(
        None, description="Its address as browsers see it: for links in webhooks, and the only origin that may post."
    )
    token_secret: str | None = Field(
        None,
        min_length=16,
        description="Of the local login, without user_header; default: a new one a start.",
    )
    user_header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]+$", description="Header in which your proxy names who is logged in."
    )
    groups_header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]+$", description="Header in which it names their groups, with commas."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses or networks of the proxies whose headers are believed."
    )
    viewers: tuple[str, ...] = Field(("*",), description="Users or groups that may read; *: all that are logged in.")
    reviewers: tuple[str, ...] = Field((), description="Users or groups that may decide as well.")
    admins: tuple[str, ...] = Field((), description="Users or groups that may erase and see the audit log as well.")
    requests_per_minute: int = Field(600, ge=1, description="Of one user; more are answered with 429.")
    severe: tuple[str, ...] = Field(
        ("C7S2", "C7S3", "C9", "C10"), description="Text near to these codes is shown only when asked for."
    )
    webhook_url_secret: str | None = Field(None, description="Is told of each cluster that begins to emerge.")
    webhook_key_secret: str | None = Field(None, description="Signs what it is told (HMAC-SHA256).")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            ipaddress.ip_network(each, strict=False)
        return given

    @field_validator("severe")
    @classmethod
    def _codes(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            if not (CATEGORY_CODE.fullmatch(each) or SUBCATEGORY_CODE.fullmatch(each)):
                known = ", ".join([*CATEGORY_NAMES, *SUBCATEGORY_NAMES])
                raise ValueError(f"{each!r} is no code: {known}, or one that your policy adds")
        return given

    @field_validator("public_url", "webhook_url_secret")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if not can_be_asked(url):
            raise ValueError("has no host that can be asked")
        return url

    @model_validator(mode="after")
    def _logged_in_somehow(self) -> Self:
        if self.user_header is None and self.token_secret is None and self.host not in LOOPBACK:
            raise ValueError(f"host {self.host} needs user_header, or a token_secret of yours")
        if self.user_header is not None and not self.trusted_proxies:
            raise ValueError("user_header is believed only from trusted_proxies: say which")
        return self
