"""MHIM-MIL: the teacher hides what is easy, and the student learns from the rest."""
