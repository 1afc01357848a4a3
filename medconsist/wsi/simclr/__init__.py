"""Contrastive training of a tile encoder on the user's own slides, without labels."""
