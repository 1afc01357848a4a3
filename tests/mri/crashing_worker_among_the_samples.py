"""A reading process that dies of a real segmentation fault while it sends samples."""

import ctypes
import json
import sys

ARRAY = {"name": "kspace", "dtype": "<c8", "shape": [2, 3, 20, 28]}

if __name__ == "__main__":
    header = {"arrays": [ARRAY], "texts": {}, "attributes": {}, "present": ["kspace"]}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"\1" * 1000)
    sys.stdout.flush()
    ctypes.string_at(0)
