"""Does the project's GRPO learn? A tiny Qwen2.5-VL that knows the form of answers alone, real rows, the real reward.

`rows` makes the dataset, `pictures` draws, `model` makes the checkpoint, `warm_up` teaches it the form, `measure` asks
it about held-out rows, `report` says what came of it; `__main__` runs one seed with one sampling.
"""
