"""Tensors in, tensors out: splits of evidence. Knows no modality and no physics."""
