"""A first stage for streams: a linear model over word pieces that only says "clearly harmless" or "ask the guard"."""

from proguard_core.guards.ngrams.guard import NgramGuard

__all__ = ["NgramGuard"]
