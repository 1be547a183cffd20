"""Policies as rows see them: with some main categories left out, and with codes that mean something else.

A variant is shared by many rows, since its prompts are long and take time to make.
"""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from proguard_core.evaluation.withholding import main, without
from proguard_core.policy.policy import SEXUAL, Policy, PolicyCategory
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompts
from proguard_core.policy.taxonomy import CATEGORY_NAMES


@dataclass(frozen=True, slots=True)
class VariantSettings:
    """masks, orders: different policies with something left out, and with everything in; half have permuted codes.

    most_withheld: main categories that a policy lacks at most.
    """

    masks: int = 96
    orders: int = 16
    most_withheld: int = 5


@dataclass(frozen=True)
class Variant:
    """policy: as the row's prompt shows it. meanings: what each shown code, of both levels, is in the whole policy."""

    policy: Policy
    withheld: frozenset[str]
    meanings: Mapping[str, str]
    templates: Path | None = None

    @cached_property
    def permuted(self) -> bool:
        """Whether a code means something else than usual."""
        return any(shown != meaning for shown, meaning in self.meanings.items())

    @cached_property
    def prompts(self) -> Prompts:
        """Made at the first row that needs them."""
        return Prompts(self.policy, self.templates)

    @cached_property
    def shown(self) -> dict[str, str]:
        """The shown code of each listed one."""
        return {meaning: shown for shown, meaning in self.meanings.items()}

    @cached_property
    def _levels(self) -> dict[PromptKind, tuple[str, ...]]:
        mains = tuple(self.policy.categories)
        divided = {item.main for item in self.policy.subcategories.values()}
        below = (*self.policy.subcategories, *(code for code in mains if code not in divided))
        return {PromptKind.TEXT: below, PromptKind.IMAGE: below, PromptKind.TEXT_IMAGE: mains}

    @cached_property
    def _meant(self) -> dict[PromptKind, tuple[str, ...]]:
        return {kind: tuple(self.meanings[code] for code in codes) for kind, codes in self._levels.items()}

    def listed(self, kind: PromptKind) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The codes that a prompt asks for (text-image: C*; text and image: C*S*), and what they mean."""
        return self._levels[kind], self._meant[kind]


class Variants:
    """The pool that rows draw from. C11, which holds minors, is never left out and never renamed: laws hang on it."""

    def __init__(self, policy: Policy, settings: VariantSettings, seed: int, templates: Path | None = None) -> None:
        chooser = random.Random(f"variants {seed}")
        mains = [code for code in policy.categories if code != SEXUAL]
        most = min(settings.most_withheld, len(mains) - 1)
        self._whole = [_variant(policy, frozenset(), at % 2 == 1, chooser, templates) for at in range(settings.orders)]
        self._masked = []
        for at in range(settings.masks if most > 0 else 0):
            # Each category in its turn, so that none is without a policy that lacks it.
            others = [code for code in mains if code != mains[at % len(mains)]]
            withheld = frozenset([mains[at % len(mains)], *chooser.sample(others, chooser.randint(0, most - 1))])
            self._masked.append(_variant(policy, withheld, at // len(mains) % 2 == 1, chooser, templates))

    def whole(self, permuted: bool, chooser: random.Random) -> Variant:
        """With every category. permuted: with codes that mean something else, where there are any to permute."""
        usual = [variant for variant in self._whole if not variant.permuted]
        other = [variant for variant in self._whole if variant.permuted]
        return chooser.choice((other if permuted else usual) or self._whole)

    def lacking(self, mains: frozenset[str], permuted: bool, chooser: random.Random) -> Variant | None:
        """Without any of these main categories; None where no variant lacks them."""
        return self._one_of([v for v in self._masked if mains <= v.withheld], permuted, chooser)

    def holding(self, mains: frozenset[str], permuted: bool, chooser: random.Random) -> Variant | None:
        """With all of these, and others left out; None where there is no such variant."""
        return self._one_of([v for v in self._masked if not mains & v.withheld], permuted, chooser)

    @staticmethod
    def _one_of(fitting: list[Variant], permuted: bool, chooser: random.Random) -> Variant | None:
        wanted = [variant for variant in fitting if variant.permuted is permuted] or fitting
        return chooser.choice(wanted) if wanted else None


def _variant(
    policy: Policy, withheld: frozenset[str], permute: bool, chooser: random.Random, templates: Path | None
) -> Variant:
    partial = without(policy, withheld)
    renamed = _permutation(partial, chooser) if permute else {}
    meanings = {renamed.get(code, code): code for code in (*partial.categories, *partial.subcategories)}
    return Variant(_renamed(partial, renamed), withheld, meanings, templates)


def _permutation(policy: Policy, chooser: random.Random) -> dict[str, str]:
    """New codes of listed ones. Categories change places with those of as many subcategories, and subcategories with
    their siblings: a code that no taxonomy has would look like a platform's own in the prompt."""
    below: dict[str, list[str]] = {code: [] for code in policy.categories}
    for item in policy.subcategories.values():
        below[item.main].append(item.code)
    alike: dict[tuple[int, bool], list[str]] = defaultdict(list)
    for code, children in below.items():
        if code != SEXUAL:
            alike[len(children), code in CATEGORY_NAMES].append(code)
    renamed: dict[str, str] = {}
    for codes in alike.values():
        for code, new in zip(codes, chooser.sample(codes, len(codes)), strict=True):
            renamed[code] = new
            places = [child.partition("S")[2] for child in below[new]]
            for child, place in zip(below[code], chooser.sample(places, len(places)), strict=True):
                renamed[child] = f"{new}S{place}"
    return renamed


def _renamed(policy: Policy, renamed: Mapping[str, str]) -> Policy:
    """The policy under new codes, listed in their order."""
    if not renamed:
        return policy

    def rename(items: Mapping[str, PolicyCategory]) -> dict[str, PolicyCategory]:
        new = {renamed.get(code, code): item for code, item in items.items()}
        return {code: replace(new[code], code=code) for code in sorted(new, key=_order)}

    order = ",".join(f"{code}>{new}" for code, new in sorted(renamed.items()))
    return replace(
        policy,
        name=f"{policy.name} permuted"[:120],
        version=f"{policy.version} {order}",
        categories=rename(policy.categories),
        subcategories=rename(policy.subcategories),
    )


def _order(code: str) -> tuple[int, int]:
    of_main, _, place = code.partition("S")
    return int(of_main[1:]), int(place or 0)


def mains_of(codes: tuple[str, ...]) -> frozenset[str]:
    """Main categories of codes."""
    return frozenset(main(code) for code in codes)
