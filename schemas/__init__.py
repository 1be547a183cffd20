"""Contracts: every record that crosses a topic, as pydantic models. This package imports pydantic only.

`schemas/json/` holds the generated JSON Schema of each record and `schemas/examples/` one example each
(`python -m schemas.generate` writes the former; a test keeps them true).
"""
