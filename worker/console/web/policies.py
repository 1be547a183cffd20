"""The policy in force as the console reads it, and the versions of it that were seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from proguard_core.policy.loader import PolicyError, parse_policy
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """policy: None where the file is wrong, then `wrong` says why."""

    name: str
    text: str
    policy: Policy | None
    wrong: str | None = None


def policy_file(settings: Settings) -> PolicyFile:
    """The file of policy.path, or the shipped one. Never raises: a page says what is wrong."""
    path = settings.policy.path
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


def touches_minors(code: str | None) -> bool:
    """Whether a decision with this code takes a cluster out of the store (law 11)."""
    return code in (MINORS, SEXUAL)
