"""GRPO with a LoRA adapter on one machine, by TRL: the paper's values, balanced batches, exact resume, a page.

`settings` has every constant; `plan`, `batches` and `collapse` decide without torch; `model`, `trainer`, `weights` and
`checkpoints` hold the library; `watch`, `metrics` and `page` say what happened; `run` puts them together.
"""
