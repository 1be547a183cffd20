"""A Qwen2.5-VL of the smallest size, made here: real engines load it, and nothing is downloaded.

`corpus` has the texts it knows, `tokenizer` and `builder` make the random checkpoint, `rows`, `batches`, `teaching` and
`lessons` teach it the contract of answers, `cached` keeps what was made, `teach` makes it and says how well it answers.
"""
