"""The taxonomy's codes and names: 11 categories (C1 ... C11) and 28 subcategories (C1S1 ... C11S2).

The names are facts of the paper (arXiv 2512.23573), so a code means the same in every policy, guard and dataset. What a
category covers is said by a policy, not here.
"""

import re

_NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Copyright",
        (
            "Reproduction, Generation, and Distribution",
            "Imitation and Rewriting",
            "Removal or Misuse of Copyright Information",
        ),
    ),
    ("Misinformation & Private Information", ("False and Fabricated Information", "Private Data Leakage")),
    (
        "Malicious Deception & Suggestion",
        ("Fraud and Scams", "Psychological Manipulation and Inducement", "Sexual Suggestive Content"),
    ),
    (
        "Cybersecurity Technology",
        ("System Intrusion and Vulnerabilities", "Malicious Software and Hacking Tools"),
    ),
    ("Living Environment Hazards", ("Natural Environmental Risks", "Urban Environmental Risks")),
    ("Financial Crime", ("Financial Fraud", "Illegal Trade")),
    ("Hate and Terror", ("Hate Speech and Discrimination", "Extremism and Terrorism", "Horrific Content")),
    (
        "Dangerous Goods",
        ("Weapons", "Biological, Chemical, and Radioactive Materials", "Illegal Drugs and Narcotics"),
    ),
    ("Real-World Harm", ("Self-Harm and Suicide", "Animal Abuse", "Violent and Property Crime")),
    ("Blood-Related Disturbing Content", ("Medical Scenes", "Accident Scenes", "Killing Scenes")),
    ("Sexual Exposure", ("Inappropriate Exposure of Minors", "Exposure of Sexual Organs")),
)

CATEGORY_CODE = re.compile(r"C[1-9][0-9]{0,2}")
SUBCATEGORY_CODE = re.compile(r"(C[1-9][0-9]{0,2})S[1-9][0-9]{0,2}")

CATEGORY_NAMES: dict[str, str] = {f"C{number}": name for number, (name, _) in enumerate(_NAMES, start=1)}
"""Name of each main category by code."""

SUBCATEGORY_NAMES: dict[str, str] = {
    f"C{number}S{position}": name
    for number, (_, names) in enumerate(_NAMES, start=1)
    for position, name in enumerate(names, start=1)
}
"""Name of each subcategory by code."""

FIRST_FREE_CATEGORY = len(CATEGORY_NAMES) + 1
"""Number of the first main category (C12) that the taxonomy leaves to platforms."""


def name_key(name: str) -> str:
    """Form under which two names count as the same: letter case and spacing do not matter."""
    return " ".join(name.casefold().split())


CODES_BY_NAME: dict[str, str] = {name_key(name): code for code, name in (CATEGORY_NAMES | SUBCATEGORY_NAMES).items()}
"""Code of each name of the taxonomy, by `name_key`."""
