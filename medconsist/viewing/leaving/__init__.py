"""What leaves the viewer as a file, each with the sha256 that the audit chain holds of it."""
