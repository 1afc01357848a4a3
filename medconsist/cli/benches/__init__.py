"""Benches that need rooms which do not know each other; loaded only by ``medconsist bench``."""
