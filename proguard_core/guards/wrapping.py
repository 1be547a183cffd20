"""Wrappers that any engine can have, by keys of `[guard.settings]` that are not the engine's own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from proguard_core.guards import checked
from proguard_core.guards.cached import CachedGuard
from proguard_core.guards.cascade import CascadeGuard, Sureness
from proguard_core.guards.disagreements import Disagreements
from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.guards.shadow import ShadowGuard
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES

log = logging.getLogger(__name__)

Create = Callable[[str, GuardOptions, Policy], Guard]

SHADOW_KEYS = {"engine", "model", "base_urls", "settings", "share", "queue", "timeout_s", "file", "max_file_bytes"}

CASCADE_KEYS = {"first", "model", "settings", *Sureness.__dataclass_fields__}
# What may stand first in a cascade, and its engine.
_FIRST = {"embedded": "embedded", "ngrams": "proguard_core.guards.ngrams:NgramGuard"}


@dataclass(frozen=True, slots=True)
class Wrappers:
    """What is put around an engine. cache_size: judgements remembered (0: no cache); the others: their tables.

    cascade is None where there is none; an empty table is one with the usual thresholds.
    """

    cache_size: int
    cascade: dict[str, object] | None
    shadow: dict[str, object] | None

    def around(self, guard: Guard, policy: Policy, create: Create) -> Guard:
        """The guard in its wrappers, the shadow outermost. create makes the second guard. ValueError names the key."""
        if self.cascade is not None:
            guard = _cascaded(guard, self.cascade, policy, create)
        if self.cache_size:
            guard = CachedGuard(guard, policy, self.cache_size)
        return guard if self.shadow is None else _shadowed(guard, self.shadow, policy, create)


def split(options: GuardOptions) -> tuple[GuardOptions, Wrappers]:
    """The engine's own options, and the wrappers'. ValueError names the wrong key."""
    own = dict(options.settings)
    cache_size = checked.whole(own, "cache_size", 0, least=0)
    shadow, cascade = checked.table(own, "shadow"), checked.table(own, "cascade")
    for key in checked.WRAPPERS:
        own.pop(key, None)
    return replace(options, settings=own), Wrappers(cache_size, cascade, shadow)


def _cascaded(second: Guard, table: dict[str, object], policy: Policy, create: Create) -> Guard:
    try:
        checked.only(table, CASCADE_KEYS)
        name = checked.text(table, "first", "embedded")
        if name not in _FIRST:
            raise ValueError(f"first is one of {', '.join(sorted(_FIRST))}, not {name!r}")
        first = create(_FIRST[name], _options({**table, "base_urls": []}), policy)
        usual = Sureness()
        # A guard that is only made to stand first brings the bound that it was fitted to.
        own_bound: float = getattr(first, "safe_below", usual.safe_below)
        sureness = Sureness(
            safe_below=checked.positive(table, "safe_below", own_bound, most=1.0),
            unsafe_from=checked.share(table, "unsafe_from", usual.unsafe_from),
            responses=checked.flag(table, "responses", usual.responses),
            plain=checked.flag(table, "plain", usual.plain),
            audit=checked.positive(table, "audit", usual.audit, most=1.0),
            least_recall=checked.positive(table, "least_recall", usual.least_recall, most=1.0),
            novel_from=checked.positive(table, "novel_from", usual.novel_from, most=1.0),
        )
        if own := sorted(policy.codes - set(CATEGORY_NAMES) - set(SUBCATEGORY_NAMES)):
            log.warning(
                "cascade: the policy alone lists %s: what the first guard did not learn by heads of yours "
                "(guard.settings.cascade.settings.adapters) may stop there as safe",
                ", ".join(own),
            )
        return CascadeGuard(first, second, sureness)
    except ValueError as error:
        raise ValueError(f"guard.settings.cascade: {error}") from error


def _shadowed(guard: Guard, table: dict[str, object], policy: Policy, create: Create) -> Guard:
    try:
        checked.only(table, SHADOW_KEYS)
        file = checked.text(table, "file", "")
        record = Disagreements(Path(file) if file else None, checked.whole(table, "max_file_bytes", 64 * 1024 * 1024))
        second = create(checked.text(table, "engine"), _options(table), policy)
        return ShadowGuard(
            guard,
            second,
            record,
            share=checked.positive(table, "share", 0.01, most=1.0),
            queue=checked.whole(table, "queue", 32),
            timeout_s=checked.positive(table, "timeout_s", 60.0),
        )
    except ValueError as error:
        raise ValueError(f"guard.settings.shadow: {error}") from error


def _options(table: dict[str, object]) -> GuardOptions:
    settings, urls = (checked.spelled(table.get(key, usual)) for key, usual in (("settings", {}), ("base_urls", [])))
    if not isinstance(settings, dict) or "shadow" in settings:
        raise ValueError("settings must be a table, without a shadow of its own")
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        raise ValueError("base_urls must be a list of addresses")
    return GuardOptions(checked.text(table, "model", "") or None, tuple(urls), cast(dict[str, object], settings))
