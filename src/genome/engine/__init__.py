"""The engine: prompts and adapters in, texts and perplexities out, over vLLM's HTTP protocol.

The modules that jobs import do not import torch. `launcher` finds or starts the workflow's engine, on this machine
(`local`) or as a SLURM job (`cluster`, `slurm`), and `client` sends requests to it. `owner` and `state` describe which
process an engine runs for and where; `fingerprint` describes what determines its answers; `program` and `vllm` (flags)
describe what is started. `server` and `model` are the built-in engine, a separate process. `supervisor` is the process
that runs vLLM's server. `lifetime` is the code that both processes share.
"""
