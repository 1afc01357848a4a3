"""Patients of this simulator: ECG and EEG whose class, subject and session effects are known."""
