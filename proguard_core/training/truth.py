"""What is right for one row of a dataset, in the codes that the row's own prompt shows: the reward compares with it."""

import json
from dataclasses import dataclass, field
from typing import Any

from proguard_core.policy.prompts.contract import PromptKind
from schemas.common import Outcome


class TruthError(ValueError):
    """A ground truth that is not of this form."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels of the turns that the prompt shows, and the category.

    request, response: safe, unsafe or None (not known; always None for a picture's response).
    codes: shown codes that all count as right. listed: every code that the prompt shows, at its level, and meanings:
    what each stands for in the policy, in the same order (they differ where codes were permuted).
    phrases: where the risk is not among the listed ones, its name and synonyms; mains: its main categories in the
    policy, none where it is outside of it. post: what the guard reads, so that a name copied from it is found.
    """

    kind: PromptKind
    request: Outcome | None = None
    response: Outcome | None = None
    codes: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    mains: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    meanings: tuple[str, ...] = field(default=(), repr=False)
    post: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if len(self.listed) != len(self.meanings):
            raise TruthError("every listed code needs its meaning")
        if self.codes and self.phrases:
            raise TruthError("a risk is among the listed ones or it is not")
        if missing := set(self.codes) - set(self.listed):
            raise TruthError(f"{sorted(missing)[0]} is right, but not listed")
        if (self.codes or self.phrases) and not self.unsafe:
            raise TruthError("a category needs an unsafe turn")

    @property
    def unsafe(self) -> bool:
        """Whether a turn is labelled unsafe."""
        return Outcome.UNSAFE in (self.request, self.response)

    @property
    def safe(self) -> bool:
        """Whether every turn that the prompt asks for is labelled safe."""
        asked = (self.request,) if self.kind is PromptKind.IMAGE else (self.request, self.response)
        return all(label is Outcome.SAFE for label in asked)

    def to_json(self) -> str:
        """One line, the same for the same truth; empty fields are left out."""
        said: dict[str, Any] = {
            "kind": self.kind,
            "request": self.request,
            "response": self.response,
            "codes": self.codes,
            "phrases": self.phrases,
            "mains": self.mains,
            "listed": self.listed,
            "meanings": () if self.meanings == self.listed else self.meanings,
            "post": self.post,
        }
        return json.dumps({key: value for key, value in said.items() if value}, ensure_ascii=False)


def from_json(text: str) -> Truth:
    """The inverse of Truth.to_json. Raises TruthError."""
    try:
        said = json.loads(text)
        listed = _texts(said, "listed")
        labels = {key: None if said.get(key) is None else Outcome(said[key]) for key in ("request", "response")}
        return Truth(
            kind=PromptKind(said["kind"]),
            request=labels["request"],
            response=labels["response"],
            codes=_texts(said, "codes"),
            phrases=_texts(said, "phrases"),
            mains=_texts(said, "mains"),
            listed=listed,
            meanings=_texts(said, "meanings") or listed,
            post=str(said.get("post", "")),
        )
    except TruthError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TruthError(f"no ground truth: {type(error).__name__}") from error


def _texts(said: dict[str, Any], key: str) -> tuple[str, ...]:
    values = said.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TruthError(f"{key} is no list of texts")
    return tuple(values)
