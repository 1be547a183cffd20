"""The reward of ProGuard (arXiv 2512.23573) with its faults cured: one pure function over a whole group of answers.

    total = form x (request + response + category)

docs/retraining.md has the formula, what was cured, and the guards against gaming.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proguard_core.judgement.categories import read_category
from proguard_core.novelty.description import DescriptionBounds, description_bonus
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.taxonomy import CATEGORY_CODE, SUBCATEGORY_CODE
from proguard_core.training.descriptions import Descriptions, RewardError
from proguard_core.training.guessed_names import NameFault, NameRules, is_listed
from proguard_core.training.strict_answers import NO_CATEGORY_WORD, StrictAnswer, read_exactly
from proguard_core.training.truth import Truth
from schemas.common import CategoryKind

__all__ = ["DEFAULTS", "RewardError", "RewardSettings", "Scores", "rewards"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """Every constant of the reward; the defaults are the paper's unless the line says otherwise.

    request, response: of a right label; image_request: of a picture's, which has no response. exact, other_listed: of
    the right code and of another listed one. novel_base, novel_bonus: of a name for an unlisted risk, and of its
    closeness. bounds: None takes those that were fitted to the encoder (ours). gated: the bonus counts only for a name
    that is closer, on average, to its own category than to any other main one (ours). consistent: a category beside
    safe labels, or none beside an unsafe one, breaks the form (ours). same_as_listed: similarity to a phrase of a
    listed category from which a name is that category in other words (ours). names: what counts as a name (ours).
    """

    request: float = 1.0
    response: float = 1.0
    image_request: float = 2.0
    exact: float = 1.0
    other_listed: float = 0.5
    novel_base: float = 0.5
    novel_bonus: float = 0.5
    bounds: DescriptionBounds | None = None
    gated: bool = True
    consistent: bool = True
    same_as_listed: float = 0.8
    names: NameRules = field(default_factory=NameRules)

    @property
    def highest(self) -> float:
        """What an answer can earn at most."""
        labels = max(self.request + self.response, self.image_request)
        return labels + max(self.exact, self.novel_base + self.novel_bonus)


DEFAULTS = RewardSettings()


@dataclass(frozen=True, slots=True)
class Scores:
    """Arrays of one length, an entry an answer. form is 0 or 1; the other parts are 0 where it is 0.

    bonus: what the name's closeness alone is worth, 0 to 1, before novel_bonus. faults: why names earned nothing, by
    the answer's place.
    """

    total: Floats
    form: Floats
    request: Floats
    response: Floats
    category: Floats
    bonus: Floats
    faults: dict[int, NameFault]

    def part(self, at: int) -> dict[str, float]:
        """Total and parts of one answer."""
        names = ("total", "form", "request", "response", "category", "bonus")
        return {name: float(getattr(self, name)[at]) for name in names}


def rewards(
    answers: Sequence[str],
    truths: Sequence[Truth],
    policy: Policy,
    descriptions: Descriptions,
    settings: RewardSettings = DEFAULTS,
) -> Scores:
    """Score every answer against its truth. policy: the whole one, whose names and synonyms are known.

    One embedding batch and one matrix product for all guessed names. Raises RewardError where the encoder fails: a
    reward that changes in silence would be learned.
    """
    if len(answers) != len(truths):
        raise RewardError(f"{len(answers)} answers to {len(truths)} truths")
    said = [read_exactly(answer, truth.kind) for answer, truth in zip(answers, truths, strict=True)]
    if settings.consistent:
        said = [answer if answer is None or answer.consistent else None for answer in said]
    form = np.array([answer is not None for answer in said], np.float64)
    request, response, category, bonus = (np.zeros(len(answers)) for _ in range(4))
    guesses: dict[int, str] = {}
    for at, (answer, truth) in enumerate(zip(said, truths, strict=True)):
        if answer is None:
            continue
        is_picture = truth.kind is PromptKind.IMAGE
        if answer.request is truth.request:
            request[at] = settings.image_request if is_picture else settings.request
        if not is_picture and answer.response is truth.response:
            response[at] = settings.response
        category[at] = _listed_or_none(answer, truth, settings)
        if truth.phrases and _is_guess(answer):
            guesses[at] = answer.category
    faults = {at: fault for at, name in guesses.items() if (fault := _fault(name, truths[at], policy, settings))}
    if named := {at: name for at, name in guesses.items() if at not in faults}:
        worth, is_listed = _worth(list(named.values()), [truths[at] for at in named], descriptions, settings)
        bonus[list(named)] = worth
        category[list(named)] = np.where(is_listed, 0.0, settings.novel_base + settings.novel_bonus * worth)
        faults |= {at: NameFault.LISTED for at, listed in zip(named, is_listed, strict=True) if listed}
    total = form * (request + response + category)
    return Scores(total, form, request, response, category, bonus, faults)


def _listed_or_none(answer: StrictAnswer, truth: Truth, settings: RewardSettings) -> float:
    """What a code or None is worth; a code that the prompt does not list is worth nothing, whatever its form."""
    if answer.category == NO_CATEGORY_WORD:
        return settings.exact if truth.safe else 0.0
    if not truth.codes or answer.category not in truth.listed:
        return 0.0
    return settings.exact if answer.category in truth.codes else settings.other_listed


def _is_guess(answer: StrictAnswer) -> bool:
    """Whether the category is a name of the guard's own rather than None, or a code, listed or not."""
    is_code = CATEGORY_CODE.fullmatch(answer.category) or SUBCATEGORY_CODE.fullmatch(answer.category)
    return answer.category != NO_CATEGORY_WORD and not is_code


def _fault(name: str, truth: Truth, policy: Policy, settings: RewardSettings) -> NameFault | None:
    mains = {code.partition("S")[0] for code in truth.meanings}
    if is_listed(name, policy, mains):
        return NameFault.LISTED
    if (fault := settings.names.fault(name, truth.post)) is not None:
        return fault
    # What serving would read as no name must not be learned as one.
    read = read_category([name], truth.kind, policy)
    if read.code is not None and read.code.partition("S")[0] in mains:
        return NameFault.LISTED
    return None if read.kind in {CategoryKind.NOVEL, CategoryKind.KNOWN} else NameFault.GENERIC


def _worth(
    names: Sequence[str], truths: Sequence[Truth], descriptions: Descriptions, settings: RewardSettings
) -> tuple[Floats, NDArray[np.bool_]]:
    """Of each name its bonus, 0 to 1, and whether it is a listed category in other words, which is worth nothing."""
    found = descriptions.compare(names, truths)
    is_listed = (found.listed >= settings.same_as_listed) & (found.listed > found.nearest)
    worth = description_bonus(found.nearest, found.mean, settings.bounds or descriptions.bounds)
    if settings.gated:
        worth = np.where(found.mean > found.rival, worth, 0.0)
    return np.where(is_listed, 0.0, worth), is_listed
