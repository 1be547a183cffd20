"""GRPO without torch: settings, plans, collapse, checkpoints, page, metrics."""
