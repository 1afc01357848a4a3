"""Clean cases and planted faults for each alarm, made by the real readers and jobs."""
