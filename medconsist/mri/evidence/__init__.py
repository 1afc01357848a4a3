"""What samples say about an image; `medconsist.mri.trust` joins it into one record."""
