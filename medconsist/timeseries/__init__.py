"""Biosignals: recordings, windows, contrastive pre-training, and an evaluator by patient."""
