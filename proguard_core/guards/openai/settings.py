"""What the openai engine takes from `[guard]` and `[guard.settings]`, checked."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from proguard_core.addresses import can_be_asked
from proguard_core.guards import checked
from proguard_core.guards.adapters import BASE
from proguard_core.guards.protocol import GuardLimits, GuardOptions

KEY_VARIABLE = "OPENAI_API_KEY"
IMAGE_FORMATS = ("jpeg", "png")
_LIMITS = GuardLimits()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How servers are asked. Times in seconds, output_cap in tokens, window_bytes and max_pixels as in GuardLimits.

    api_key: of the environment variable that key_variable names, None where it is unset; never shown.
    weights: what the operator calls the weights that are served; part of the revision.
    prompts: a folder of prompts in place of ours. adapters: where LoRA adapters lie, as the worker sees it;
    server_adapters: the same folder as the servers see it, None where that is no other. adapter: in force at the start.
    """

    model: str
    base_urls: tuple[str, ...]
    key_variable: str = KEY_VARIABLE
    api_key: str | None = field(default=None, repr=False)
    output_cap: int = 1024
    request_timeout_s: float = 45.0
    connect_timeout_s: float = 5.0
    concurrency: int = 64
    image_format: str = "jpeg"
    structured_retry: bool = True
    window_bytes: int = _LIMITS.window_bytes
    max_pixels: int = _LIMITS.max_pixels
    weights: str = ""
    prompts: Path | None = None
    adapters: Path | None = None
    server_adapters: Path | None = None
    adapter: str = BASE

    @property
    def answer_settings(self) -> str:
        """Those that an answer depends on, as one line: part of the revision."""
        return f"{self.output_cap} {self.image_format} {self.structured_retry} {self.window_bytes} {self.max_pixels}"


KEYS = set(ServerSettings.__dataclass_fields__) - {"model", "base_urls", "api_key"}


def read(options: GuardOptions) -> ServerSettings:
    """ValueError names the wrong key."""
    own = options.settings
    checked.engines_own(own, KEYS, "the openai guard", checked.CHAT)
    folders = {key: checked.folder(own, key) for key in ("prompts", "adapters", "server_adapters")}
    if folders["server_adapters"] and not folders["adapters"]:
        raise ValueError("guard.settings.server_adapters needs guard.settings.adapters, the same folder as seen here")
    variable = checked.text(own, "key_variable", KEY_VARIABLE)
    return ServerSettings(
        model=checked.model(options, "the model that the server serves"),
        base_urls=_base_urls(options.base_urls),
        key_variable=variable,
        api_key=_api_key(variable),
        output_cap=checked.whole(own, "output_cap", 1024),
        request_timeout_s=checked.positive(own, "request_timeout_s", 45.0),
        connect_timeout_s=checked.positive(own, "connect_timeout_s", 5.0),
        concurrency=checked.whole(own, "concurrency", 64),
        image_format=checked.one_of(own, "image_format", IMAGE_FORMATS),
        structured_retry=checked.flag(own, "structured_retry", True),
        window_bytes=checked.whole(own, "window_bytes", _LIMITS.window_bytes),
        max_pixels=checked.whole(own, "max_pixels", _LIMITS.max_pixels),
        weights=checked.text(own, "weights", ""),
        adapter=checked.adapter(own),
        **folders,
    )


def _api_key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"the key in {variable} has characters that no HTTP header takes")
    return key or None


def _base_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("guard.base_urls must name a server, such as http://127.0.0.1:8000/v1")
    for url in urls:
        # Before the address is shown in an error.
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError(f"guard.base_urls: no login in an address; the key comes from {KEY_VARIABLE}")
        if not can_be_asked(url) or urlsplit(url).query or urlsplit(url).fragment:
            raise ValueError(f"guard.base_urls: {url!r} must look like http://127.0.0.1:8000/v1")
    bare = tuple(url.rstrip("/") for url in urls)
    if len(set(bare)) < len(bare):
        raise ValueError("guard.base_urls names a server twice")
    return bare
