"""K-space files in: NumPy, BART, twix, and HDF5 of several layouts; all give one `KSpace`."""

from medconsist.mri.readers.frame_count import count_frames
from medconsist.mri.readers.maps import read_maps
from medconsist.mri.readers.reader import DEFAULT_BUDGET_BYTES, KNOWN_KINDS, read_kspace

__all__ = ["DEFAULT_BUDGET_BYTES", "KNOWN_KINDS", "count_frames", "read_kspace", "read_maps"]
