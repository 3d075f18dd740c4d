"""The engine: prompts and adapters in, texts and perplexities out, over vLLM's HTTP protocol.

`client` and `launcher` are what jobs import (no torch); `server` and `model` are the built-in backend, a process of
its own.
"""
