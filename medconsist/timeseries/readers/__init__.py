"""Signal files in: WFDB, EDF, CSV, NumPy, MAT, DICOM, HDF5 and Zarr; all give a `Recording`."""
