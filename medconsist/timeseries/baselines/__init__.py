"""The published rivals of COMET, each re-implemented from its paper as a pretext task."""
