"""Training: an objective, one run folder, resume without a trace, weights as safetensors."""
