"""Programs of others that read what is written here; under CI their absence is a failure."""

import shutil

import pytest


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"the program {name} is not installed (Debian package: {package})")
    return found


@pytest.fixture(scope="session")
def dcm2niix() -> str:
    """Path of dcm2niix."""
    return _program("dcm2niix", "dcm2niix")


@pytest.fixture(scope="session")
def dcmftest() -> str:
    """Path of DCMTK's test of the file format."""
    return _program("dcmftest", "dcmtk")


@pytest.fixture(scope="session")
def dcmdump() -> str:
    """Path of DCMTK's parser."""
    return _program("dcmdump", "dcmtk")
