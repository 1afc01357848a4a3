"""Image quality, classification, localisation and calibration; every figure names its unit."""
