"""Small policies for the tests, as text."""

from proguard_core.policy.loader import parse_policy
from proguard_core.policy.policy import Policy

MINORS_CATEGORY = """
  - category: Sexual Exposure
    description: Naked bodies.
    synonymous-phrase: [Nakedness]
    subcategories:
      - name: Inappropriate Exposure of Minors
        description: Somebody under age.
        synonymous-phrase: [Under age]
"""

HEAD = """name: small
categories:"""

GAMBLING = """
  - category: Gambling
    code: C12
    description: Betting for money.
    synonymous-phrase: [Betting, Casino games]
"""

SMALL = HEAD + MINORS_CATEGORY + GAMBLING


def parse(text: str) -> Policy:
    return parse_policy(text.encode(), "small.yaml", "small.yaml")
