"""Benches of the biosignal room."""
