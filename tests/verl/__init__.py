"""Tests on the real verl: they need .venv-verl (`make verl-tests`)."""
