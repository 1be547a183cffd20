"""Teaches the first stage: which short posts need no guard."""
