"""What goes in: lists of cases, checked before anything runs."""
