"""Teaches the embedded guard: rows, network, learning, export. Needs torch; nothing at run time imports it."""
