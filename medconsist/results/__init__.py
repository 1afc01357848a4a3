"""What a job writes and the viewer reads: content-keyed result folders and trust records."""
