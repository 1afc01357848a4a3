"""Anatomy, lesions, contrast and coils of the simulator."""
