"""Equal windows over any number of axes: where they lie, how they are read, how they are joined."""
