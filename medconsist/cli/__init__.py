"""The commands; one dataclass each. Importing this room imports nothing heavy."""
