"""A Qwen2.5-VL of the smallest size, made here: real engines load it, and nothing is downloaded.

`corpus` has the texts it knows, `tokenizer` and `builder` make the random checkpoint, `cached` keeps what was made.
"""
