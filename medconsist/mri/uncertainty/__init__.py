"""How far an image may be off: spreads of repeated reconstructions, and intervals that cover."""
