"""Encoders: tiles to features, one row a tile, with all that decides a feature on record."""
