"""Small policies for these tests."""

from proguard_core.policy.policy import Policy, PolicyCategory
from schemas.common import Action


def category(code: str, name: str, threshold: float = 0.5) -> PolicyCategory:
    return PolicyCategory(code, name, "", (f"{name} content",), threshold, Action.REVIEW)


def policy(*codes: str, threshold: float = 0.5, thresholds: dict[str, float] | None = None) -> Policy:
    made = {code: category(code, f"Name of {code}", (thresholds or {}).get(code, threshold)) for code in codes}
    return Policy(
        name="test",
        version="1",
        categories={code: item for code, item in made.items() if "S" not in code},
        subcategories={code: item for code, item in made.items() if "S" in code},
        threshold=threshold,
        novel_action=Action.REVIEW,
        undetermined_action=Action.REVIEW,
    )
