"""GRPO on many GPUs: verl on a Ray cluster, told what `training.grpo` does on one machine.

`settings` and `compose` say what verl is told, `rows` puts the dataset into balanced batches, `validate` asks verl
itself whether it understands, `submit` sends the job and follows it, `checkpoint` brings the adapter back.
"""
