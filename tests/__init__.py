"""A regular package: neurokit2 installs one of this name, which would hide one without a file."""
