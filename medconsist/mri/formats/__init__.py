"""Files of other programs, read in doubt and written atomically; what they mean is not here."""
