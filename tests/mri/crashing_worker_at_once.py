"""A reading process that dies of a real segmentation fault before it says anything."""

import ctypes

if __name__ == "__main__":
    ctypes.string_at(0)
