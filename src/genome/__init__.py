"""GENOME: population-based evolution of LoRA experts without gradients (arXiv 2503.01155)."""

__version__ = "0.2.0"
