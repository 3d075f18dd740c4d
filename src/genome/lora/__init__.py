"""LoRA weights: from genotypes to PEFT folders, comparison and merging of experts, training."""
