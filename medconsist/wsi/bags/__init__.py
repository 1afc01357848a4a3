"""The feature store: one file of tile features for each slide and encoder."""
