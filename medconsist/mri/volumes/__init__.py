"""Volumes that are prepared, reconstructed and judged slab by slab, in the memory of a few."""
