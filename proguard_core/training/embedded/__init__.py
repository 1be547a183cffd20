"""Teaches the embedded guard: rows, network, learning, export. Needs torch and transformers; nothing at run time imports it."""
