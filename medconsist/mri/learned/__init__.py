"""Networks that reconstruct: how they are trained, adapted, stored, and asked for an image."""
