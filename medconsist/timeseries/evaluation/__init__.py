"""How well a method does on patients it never saw, with intervals that say what they cover."""
