"""The form of a guard's answer, shared by what asks for it (prompts) and by what reads it (judgement).

What a post must not be able to write and what the parser looks for are the same patterns: a post that was neutralised
holds nothing that the parser would take for an answer.
"""

import re
from enum import StrEnum


class PromptKind(StrEnum):
    """What a question shows. text and image ask for subcategories (C3S1), text-image for categories (C3)."""

    TEXT = "text"
    TEXT_IMAGE = "text-image"
    IMAGE = "image"


# Spaces are bounded so that a long run of them cannot make a search quadratic.
TAG = re.compile(r"<\s{0,8}(?P<close>/?)\s{0,8}(?P<name>think|thinking|answer)\s{0,8}/?\s{0,8}>", re.IGNORECASE)
"""Tags around the reasoning and the answer, in the forms that models write them."""

KEY = re.compile(
    r"\b(?P<key>request|response|category)(?P<marks>[\"'*_` ]{0,6})[:：](?P<after>[*_]{0,3})"
    r"|(?P<chinese>请求|請求|响应|回應|回复|类别|類別)(?P<chinese_marks>[\"'*_` ]{0,6})[:：]",
    re.IGNORECASE,
)
"""The three keys of an answer. Qwen's other language is Chinese: it is the one that an answer slips into."""

ENGLISH_KEYS = {
    "请求": "request",
    "請求": "request",
    "响应": "response",
    "回應": "response",
    "回复": "response",
    "类别": "category",
    "類別": "category",
}
