"""Readers of slides: OpenSlide as the reference, a direct engine where the format allows it."""
