"""Linear operators with adjoints, solvers and data consistency; physics of no one modality."""
