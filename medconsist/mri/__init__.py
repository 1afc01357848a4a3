"""MRI: k-space in, reconstruction, the evidence for it, NIfTI out."""
