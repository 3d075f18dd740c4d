"""The engine: prompts and adapters in, texts and perplexities out, over vLLM's HTTP protocol.

What jobs import has no torch: `launcher` finds the engine of their workflow or starts it, on this machine (`local`) or
as a job of SLURM (`cluster`, `slurm`), and `client` talks to it. `owner` and `state` tell for whom an engine runs and
where, `fingerprint` what decides its answers; `program` and `vllm` (flags) what is started. `server` and `model` are
the built-in engine, a process of its own; `supervisor` is the process that runs vLLM's server; `lifetime` is what both
share.
"""
