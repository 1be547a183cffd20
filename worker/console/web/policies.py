"""The policy in force as the console reads it, and the versions of it that were seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from proguard_core.novelty.novelty import Novelty, for_law_11
from proguard_core.policy.loader import PolicyError, load_policy, parse_policy
from proguard_core.policy.policy import Policy
from worker.settings import Settings

_State = tuple[Path | None, tuple[int, int, int] | None]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """policy: None where the file is wrong, then `wrong` says why."""

    name: str
    text: str
    policy: Policy | None
    wrong: str | None = None


def policy_file(settings: Settings) -> PolicyFile:
    """The file of policy.path, or the shipped one. Never raises: a page says what is wrong."""
    return _read(*_state(settings))


def novelty_of(settings: Settings) -> Novelty:
    """What names are near to under that policy; under the shipped one where the file is wrong.

    Raises ValueError where the encoder's files are missing.
    """
    own = settings.guard.settings.get("novelty")
    return _novelty(*_state(settings), None if own is None else json.dumps(own))


def _state(settings: Settings) -> _State:
    path = settings.policy.path
    try:
        stat = None if path is None else path.stat()
    except OSError:
        stat = None
    return path, None if stat is None else (stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(1)
def _novelty(path: Path | None, state: tuple[int, int, int] | None, own: str | None) -> Novelty:
    """Once a state of the file: its encoder is loaded at the first name. own: the guard's setting, as JSON."""
    return for_law_11(own, _read(path, state).policy or load_policy(None))


@lru_cache(4)
def _read(path: Path | None, _state: tuple[int, int, int] | None) -> PolicyFile:
    """Once a state of the file: reading it takes longer than a page may."""
    name = "default.yaml" if path is None else path.name
    try:
        if path is None:
            body = resources.files("proguard_core.policy").joinpath(name).read_bytes()
        else:
            body = path.read_bytes()
        return PolicyFile(name, body.decode("utf-8-sig"), parse_policy(body, name, name))
    except PolicyError as error:
        return PolicyFile(name, "", None, str(error))
    except (OSError, UnicodeDecodeError) as error:
        return PolicyFile(name, "", None, f"{name} cannot be read: {type(error).__name__}")


def codes_of(settings: Settings) -> Mapping[str, str]:
    """Names of the codes that a cluster may be merged into, in the order of the policy."""
    policy = policy_file(settings).policy
    if policy is None:
        return {}
    listed: dict[str, str] = {}
    for category in policy.categories.values():
        listed[category.code] = category.name
        listed |= {each.code: each.name for each in policy.subcategories.values() if each.main == category.code}
    return listed
