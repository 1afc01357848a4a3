"""Whole slides: from stored tiles to features, with coordinates that are right."""
