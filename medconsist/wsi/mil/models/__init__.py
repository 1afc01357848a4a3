"""Models of a bag: trivial baselines, the published ones, and what they share."""
