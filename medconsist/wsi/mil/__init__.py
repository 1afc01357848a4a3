"""Multiple-instance learning: a bag of tiles has one label, and its tiles have none."""
