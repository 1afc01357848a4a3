"""COMET: contrast at the levels of patient, trial, sample and observation, and its mends."""
