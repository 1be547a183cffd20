"""Secrets: which settings are some, how they come in by files, and their values, so that logs can leave them out."""

import os
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from worker.errors import ConfigurationError

DIRECTORY_VARIABLE = "PROGUARD_SECRETS_DIR"

_MASK = "********"
_SECRET_PARTS = ("password", "secret", "token", "jaas", "passphrase")
# A setting that names the variable of the environment in which a guard server's key is.
_NAMES_A_VARIABLE = "key_variable"
# Not settings of ours, but keys all the same.
_CREDENTIALS_IN_URL = re.compile(r"(?i)([a-z][a-z0-9+.\-]*://[^/\s:@]*:)[^/\s@]+@")
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OPENAI_API_KEY")
_HEADER_VARIABLES = tuple(f"OTEL_EXPORTER_OTLP_{kind}HEADERS" for kind in ("", "TRACES_", "METRICS_"))


def is_secret(key: str) -> bool:
    """Whether a setting of this name must never be shown: passwords, secrets, tokens, JAAS lines, private keys."""
    name = key.lower().replace("_", ".")
    if name.endswith((".key.location", ".token.endpoint.url", ".key.path")):
        return False
    return any(part in name for part in _SECRET_PARTS) or ".key" in name or name.endswith("sasl.oauthbearer.config")


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy to print: secret values replaced, tables within masked likewise."""
    return {key: masked(value) if isinstance(value, Mapping) else _mask(key, value) for key, value in config.items()}


def _mask(key: str, value: Any) -> Any:
    if is_secret(key) and value not in (None, ""):
        return _MASK
    if isinstance(value, str):
        return without_credentials(value)
    return [_mask(key, each) for each in value] if isinstance(value, list | tuple) else value


def without_credentials(text: str) -> str:
    """The text without the passwords of URLs in it."""
    return _CREDENTIALS_IN_URL.sub(rf"\1{_MASK}@", text)


def values_of(config: Mapping[str, Any]) -> Iterator[str]:
    """The texts of all secret settings, in tables within too, and of the variables that settings name as secret."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from values_of(value)
        elif key == _NAMES_A_VARIABLE and isinstance(value, str):
            yield os.environ.get(value, "").strip()
        elif isinstance(value, str) and value and is_secret(key):
            yield value


def values_of_environment() -> Iterator[str]:
    """Secrets that are in the environment by other names than ours: keys of S3 and guard servers, headers for OTLP."""
    yield from (os.environ[name] for name in _SECRET_VARIABLES if os.environ.get(name))
    for name in _HEADER_VARIABLES:
        for header in os.environ.get(name, "").split(","):
            value = header.partition("=")[2].strip()
            yield from (value, unquote(value))  # as it stands there, and as it is sent


def directory(sections: Container[str]) -> Path | None:
    """The folder that PROGUARD_SECRETS_DIR names: a file a setting, called SECTION__KEY, its text the value.

    None where the variable is not set. Raises ConfigurationError if the folder or a file of it cannot be read.
    """
    configured = os.environ.get(DIRECTORY_VARIABLE)
    if not configured:
        return None
    path = Path(configured)
    if not path.is_dir():
        raise ConfigurationError(f"{path} ({DIRECTORY_VARIABLE}) is not a folder")
    for file in sorted(path.iterdir()):
        if not file.name.startswith("."):  # Kubernetes keeps its links and versions in hidden folders
            _check(file, sections)
    return path


def _check(file: Path, sections: Container[str]) -> None:
    section, _, key = file.name.lower().partition("__")
    if section not in sections or not key:
        example = "kafka__client__sasl_password"
        raise ConfigurationError(f"{file} ({DIRECTORY_VARIABLE}): a file there is called SECTION__KEY, as {example} is")
    try:
        file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} ({DIRECTORY_VARIABLE}) cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} ({DIRECTORY_VARIABLE}) is not UTF-8") from None
