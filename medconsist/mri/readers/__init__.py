"""K-space files in: NumPy, fastMRI HDF5, BART cfl; all give one `KSpace`."""
