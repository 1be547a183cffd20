"""What a guard said, as a judgement."""

from proguard_core.judgement.parsing import parse

__all__ = ["parse"]
