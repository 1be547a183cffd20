"""Text sets: one function a set, from a record as it is published to rows. Raises RowError for what it cannot use."""

from collections.abc import Mapping
from typing import Any

from proguard_core.evaluation.loaders.category_map import CategoryMap
from proguard_core.evaluation.rows import Row, RowError
from schemas.common import Outcome

Record = Mapping[str, Any]
_HARM = {"harmful": Outcome.UNSAFE, "unharmful": Outcome.SAFE}
_SAFETY = {"safe": Outcome.SAFE, "unsafe": Outcome.UNSAFE}
_NO_VALUE = {"", "none", "null", "nan"}
REDACTED = "REDACTED"


def text(record: Record, *keys: str) -> str:
    """The first of the keys that the record has, as text. Raises RowError where there is none."""
    value = optional(record, *keys)
    if value is None:
        raise RowError(f"no {keys[0]}")
    return value


def optional(record: Record, *keys: str) -> str | None:
    """The same, None where there is none; the word None counts as none."""
    for key in keys:
        value = record.get(key)
        if value is not None and str(value).strip().casefold() not in _NO_VALUE:
            return str(value)
    return None


def flag(record: Record, key: str) -> bool | None:
    """A truth value in any of the spellings that CSV and JSON have; None where there is none."""
    value = optional(record, key)
    known = {"1": True, "true": True, "yes": True, "1.0": True, "0": False, "false": False, "no": False, "0.0": False}
    if value is None:
        return None
    if (found := known.get(value.strip().casefold())) is None:
        raise RowError(f"{key} is no truth value")
    return found


def _said(record: Record, key: str, labels: Mapping[str, Outcome]) -> Outcome | None:
    value = optional(record, key)
    if value is None:
        return None
    if (found := labels.get(value.strip().casefold())) is None:
        raise RowError(f"{key} is none of {', '.join(labels)}")
    return found


def aegis(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """Aegis 2.0. Redacted prompts (of another set that must be fetched there) cannot be judged."""
    request = text(record, "prompt")
    if request.strip() == REDACTED:
        raise RowError("the prompt is redacted")
    own = (optional(record, "violated_categories") or "").split(",")
    return [
        Row(
            id=optional(record, "id") or place,
            request=request,
            response=optional(record, "response"),
            request_label=_said(record, "prompt_label", _SAFETY),
            response_label=_said(record, "response_label", _SAFETY),
            categories=categories.codes(own),
        )
    ]


def harmbench(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """HarmBench: every behaviour is unsafe; a context stands before it, as the authors put it."""
    behaviour, context = text(record, "Behavior"), optional(record, "ContextString")
    return [
        Row(
            id=optional(record, "BehaviorID") or place,
            request=f"{context}\n\n---\n\n{behaviour}" if context else behaviour,
            request_label=Outcome.UNSAFE,
            categories=categories.codes([optional(record, "SemanticCategory") or ""]),
            source=optional(record, "FunctionalCategory"),
        )
    ]


def openai_moderation(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """OpenAI Moderation: a flag a category, unsafe where one is set, safe where none is."""
    flags = {key: flag(record, key.upper()) for key in categories}
    if all(value is None for value in flags.values()):
        raise RowError("no flag of a category")
    raised = [key for key, value in flags.items() if value]
    label = Outcome.UNSAFE if raised else Outcome.SAFE
    return [Row(place, text(record, "prompt"), request_label=label, categories=categories.codes(raised))]


def simple_safety_tests(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """SimpleSafetyTests: every prompt is unsafe."""
    area = optional(record, "harm_area") or ""
    return [
        Row(
            id=optional(record, "id") or place,
            request=text(record, "prompt"),
            request_label=Outcome.UNSAFE,
            categories=categories.codes([area]),
            source=area or None,
        )
    ]


def toxic_chat(record: Record, place: str, _categories: CategoryMap) -> list[Row]:
    """ToxicChat: `toxicity` labels the user's turn; the model's turn has no label and is not shown to the guard."""
    toxic = flag(record, "toxicity")
    if toxic is None:
        raise RowError("no toxicity")
    label = Outcome.UNSAFE if toxic else Outcome.SAFE
    return [Row(optional(record, "conv_id") or place, text(record, "user_input"), request_label=label)]


def wildguard(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """WildGuard's test split."""
    return [
        Row(
            id=place,
            request=text(record, "prompt"),
            response=optional(record, "response"),
            request_label=_said(record, "prompt_harm_label", _HARM),
            response_label=_said(record, "response_harm_label", _HARM),
            categories=categories.codes([optional(record, "subcategory") or ""]),
            source="adversarial" if flag(record, "adversarial") else "vanilla",
        )
    ]


def xstest(record: Record, place: str, _categories: CategoryMap) -> list[Row]:
    """XSTest: `label`, and where an older edition has none, the type (contrast_... is unsafe)."""
    kind = text(record, "type")
    label = _said(record, "label", _SAFETY)
    if label is None:
        label = Outcome.UNSAFE if kind.startswith("contrast_") else Outcome.SAFE
    return [Row(optional(record, "id", "id_v2") or place, text(record, "prompt"), request_label=label, source=kind)]


def xstest_response(record: Record, place: str, _categories: CategoryMap) -> list[Row]:
    """XSTest-Response, split response_harmfulness."""
    label = _said(record, "label", _HARM)
    return [Row(place, text(record, "prompt"), text(record, "response"), response_label=label)]


def beavertails(record: Record, place: str, categories: CategoryMap) -> list[Row]:
    """BeaverTails: `is_safe` labels the answer."""
    safe = flag(record, "is_safe")
    if safe is None:
        raise RowError("no is_safe")
    flags = record.get("category")
    own = [str(key) for key, value in flags.items() if value] if isinstance(flags, Mapping) else []
    return [
        Row(
            id=place,
            request=text(record, "prompt"),
            response=text(record, "response"),
            response_label=Outcome.SAFE if safe else Outcome.UNSAFE,
            categories=categories.codes(own),
        )
    ]
