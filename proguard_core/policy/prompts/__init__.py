"""Prompts: what a guard that reads is told (the policy) and shown (the post)."""

from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.neutralise import neutral
from proguard_core.policy.prompts.renderer import Prompt, PromptError, Prompts

__all__ = ["Prompt", "PromptError", "PromptKind", "Prompts", "neutral"]
