"""The golden table of the reward, and an encoder that finds the similarities that a case states."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from proguard_core.novelty.description import PAPER_BOUNDS
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.training.descriptions import Descriptions
from proguard_core.training.reward import RewardSettings
from proguard_core.training.truth import Truth
from schemas.common import Outcome

POLICY = load_policy()
_ELSEWHERE = 0.2


@dataclass(frozen=True)
class StatedEncoder:
    """The name is the first axis; a phrase leans towards it as the case says, and the rest of it is its own axis."""

    name: str
    similarities: dict[str, float]
    elsewhere: float = _ELSEWHERE
    axes: dict[str, int] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, 512), each row of length 1."""
        vectors = np.zeros((len(texts), 512), np.float32)
        for row, text in enumerate(texts):
            similarity = 1.0 if text == self.name else self.similarities.get(text, self.elsewhere)
            vectors[row, 0] = similarity
            vectors[row, self.axes.setdefault(text, len(self.axes) + 1)] = np.sqrt(1 - similarity**2)
        return vectors


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    answer: str
    truth: Truth
    descriptions: Descriptions
    settings: dict[str, Any]
    expected: tuple[float, float, float, float]
    fault: str | None

    @property
    def total(self) -> float:
        """What the whole reward must be."""
        form, *parts = self.expected
        return form * sum(parts)

    @property
    def reward_settings(self) -> RewardSettings:
        """The settings that the case asks for."""
        return RewardSettings(**self.settings)


@cache
def cases() -> tuple[Case, ...]:
    """All of them."""
    loaded = yaml.safe_load(Path(__file__).with_name("golden_rewards.yaml").read_text(encoding="utf-8"))
    return tuple(_case(said) for said in loaded["cases"])


def well_formed(said: dict[str, Any]) -> str:
    """The text of an answer; without a response there is no such line. A bare None of YAML is the word."""
    labels = f"Request:{said['request']}\n" + (f"Response:{said['response']}\n" if "response" in said else "")
    return f"<think>It speaks for itself.</think>\n<answer>\n{labels}Category:{said['category'] or 'None'}\n</answer>"


def truth_of(said: dict[str, Any], kind: PromptKind) -> Truth:
    """The truth of a case, with what the policy lists at the level of its kind."""
    mains = tuple(said.get("mains", ()))
    level = POLICY.categories if kind is PromptKind.TEXT_IMAGE else POLICY.subcategories
    listed = tuple(said.get("listed", [code for code in level if code.partition("S")[0] not in mains]))
    return Truth(
        kind,
        request=Outcome(said["request"]) if "request" in said else None,
        response=Outcome(said["response"]) if "response" in said else None,
        codes=tuple(said.get("codes", ())),
        phrases=tuple(said.get("phrases", ())),
        mains=mains,
        listed=listed,
        meanings=tuple(said.get("meanings", listed)),
        post=said.get("post", ""),
    )


def _case(said: dict[str, Any]) -> Case:
    truth = truth_of(said["truth"], PromptKind(said.get("kind", "text")))
    answer = said["answer"] if isinstance(said["answer"], str) else well_formed(said["answer"])
    stated = said.get("similarities", {})
    similarities = dict(zip(truth.phrases, stated.get("own", ()), strict=bool(stated.get("own"))))
    similarities |= stated.get("to", {})
    name = "" if isinstance(said["answer"], str) else str(said["answer"]["category"])
    encoder = StatedEncoder(name, similarities, stated.get("others", _ELSEWHERE))
    descriptions = Descriptions(encoder, POLICY, PAPER_BOUNDS)
    settings = said.get("settings", {})
    return Case(said["name"], answer, truth, descriptions, settings, tuple(said["expected"]), said.get("fault"))
