"""From an item to what is learned: the prompt under one of the policies, and what is right under it."""

import random
from dataclasses import dataclass

from PIL import Image

from proguard_core.dataset.items import Item
from proguard_core.dataset.variants import Variant, Variants, mains_of
from proguard_core.evaluation.withholding import main
from proguard_core.guards.protocol import GuardRequest, Picture
from proguard_core.novelty.bank import Bank
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import SEXUAL, Policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompt
from proguard_core.training.truth import Truth
from schemas.common import Outcome

# A prompt depends on whether there is a picture, not on what it shows.
_SOME_PICTURE = Picture(Image.new("RGB", (1, 1)), "")


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """masked: the share of rows whose policy lacks something. Where a row's own category can be left out it is, and the
    risk has to be named; any other row lacks other categories, so that a short list tells nothing. permuted: the share
    whose codes mean something else than usual.
    """

    masked: float = 0.3
    permuted: float = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """One row as a trainer needs it. The prompt is rendered when it is asked for: it is long."""

    item: Item
    variant: Variant
    truth: Truth

    @property
    def picture(self) -> str | None:
        """Reference of the picture."""
        return next(iter(self.item.row.images), None)

    def prompt(self) -> Prompt:
        """System and user's turn; the picture goes before the user's text."""
        row = self.item.row
        picture = _SOME_PICTURE if row.images else None
        return self.variant.prompts.render(GuardRequest(row.request, row.response, picture))


class Sampler:
    """Draws a policy for each item, by seed and row id. policy: the whole one; bank: its confirmed phrases."""

    def __init__(self, policy: Policy, bank: Bank, variants: Variants, settings: MaskSettings, seed: int) -> None:
        self._policy = policy
        self._shipped = load_policy()
        self._bank = bank
        self._variants = variants
        self._settings = settings
        self._seed = seed

    def sample(self, item: Item) -> Sample:
        """The item under one policy."""
        chooser = random.Random(f"{self._seed} {item.row.id}")
        is_masked = chooser.random() < self._settings.masked
        is_permuted = chooser.random() < self._settings.permuted
        mains = mains_of(item.row.categories)
        variant = None
        if is_masked and self._can_be_withheld(item, mains):
            variant = self._variants.lacking(mains, is_permuted, chooser)
        elif is_masked:
            variant = self._variants.holding(mains, is_permuted, chooser)
        variant = variant or self._variants.whole(is_permuted, chooser)
        return Sample(item, variant, self._truth(item, variant))

    def _can_be_withheld(self, item: Item, mains: frozenset[str]) -> bool:
        return item.row.unsafe and len(mains) == 1 and SEXUAL not in mains and mains <= self._policy.categories.keys()

    def _truth(self, item: Item, variant: Variant) -> Truth:
        row = item.row
        kind = PromptKind(row.modality.value)
        listed, meanings = variant.listed(kind)
        codes = self._at_level(row.categories, kind) if row.unsafe else ()
        right = tuple(variant.shown[code] for code in codes if code in variant.shown)
        phrases: tuple[str, ...] = ()
        mains: tuple[str, ...] = ()
        if codes and not right:
            phrases, mains = self._phrases(codes[0]), (main(codes[0]),)
        elif row.unsafe and row.ood_name and not codes:
            phrases = (row.ood_name, *item.synonyms, *self._bank.of(row.ood_name))
        return Truth(
            kind=kind,
            request=row.request_label,
            response=_response_label(item, kind),
            codes=right,
            phrases=tuple(dict.fromkeys(phrases)),
            mains=mains,
            listed=listed,
            meanings=meanings,
            post=row.request if row.response is None else f"{row.request}\n{row.response}",
        )

    def _at_level(self, codes: tuple[str, ...], kind: PromptKind) -> tuple[str, ...]:
        """Codes of the level that a prompt asks for. Of a category that is not divided further in the row, any of its
        subcategories is right."""
        if kind is PromptKind.TEXT_IMAGE:
            return tuple(dict.fromkeys(main(code) for code in codes))
        found: dict[str, None] = {}
        for code in codes:
            below = [sub for sub in self._policy.subcategories if main(sub) == code]
            found.update(dict.fromkeys(below or [code]))
        return tuple(found)

    def _phrases(self, code: str) -> tuple[str, ...]:
        # A policy need not list all of the taxonomy; its own name is still the right one.
        listed = self._policy.find(code) or self._shipped.find(code)
        known = () if listed is None else (listed.name, *listed.synonyms)
        return (*known, *self._bank.of(code)) or (code,)


def _response_label(item: Item, kind: PromptKind) -> Outcome | None:
    """An agent's turn that is empty is safe, as the prompt says."""
    if kind is PromptKind.IMAGE:
        return None
    return item.row.response_label if item.row.response else Outcome.SAFE
