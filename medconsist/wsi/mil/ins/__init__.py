"""INS: an instance classifier from slide labels, by prototypes, soft labels and contrast."""
