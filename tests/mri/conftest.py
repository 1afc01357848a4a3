"""Fixtures of the MRI tests."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.mri.formats.cfl import kspace_to_bart, write_cfl
from tests.mri.asymmetric import asymmetric_kspace

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation>
  <systemFieldStrength_T>2.8936</systemFieldStrength_T>
 </acquisitionSystemInformation>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{rows}</x><y>{columns}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>{fov_rows}</x><y>{fov_columns}</y><z>5</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>{recon_rows}</x><y>{columns}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>{recon_fov_rows}</x><y>{fov_columns}</y><z>5</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1>
    <minimum>0</minimum><maximum>{maximum}</maximum><center>{center}</center>
   </kspace_encoding_step_1>
  </encodingLimits>
 </encoding>
</ismrmrdHeader>
"""


def header_xml(**changes: float) -> str:
    """Return an ISMRMRD header for k-space of 20 x 28 with readout oversampling 2."""
    values: dict[str, float] = {
        "rows": 20,
        "columns": 28,
        "fov_rows": 40,
        "fov_columns": 84,
        "recon_rows": 10,
        "recon_fov_rows": 20,
        "maximum": 27,
        "center": 14,
    }
    return HEADER.format(**(values | changes))


def write_npy(path: Path, samples: Tensor) -> Path:
    """Write k-space as NumPy, with the slice axis."""
    target = path.with_suffix(".npy")
    np.save(target, samples.numpy())
    return target


def write_fastmri(path: Path, samples: Tensor, **datasets: object) -> Path:
    """Write k-space in the fastMRI layout; further datasets by name."""
    target = path.with_suffix(".h5")
    with h5py.File(target, "w") as file:
        file["kspace"] = samples.numpy()
        file.attrs["acquisition"] = "AXFLAIR"
        for name, value in datasets.items():
            file[name] = value
    return target


def write_bart(path: Path, samples: Tensor) -> Path:
    """Write k-space as a BART pair."""
    target = path.with_suffix(".cfl")
    write_cfl(target, kspace_to_bart(samples))
    return target


WRITERS: dict[str, Callable[[Path, Tensor], Path]] = {
    "npy": write_npy,
    "fastmri": write_fastmri,
    "bart": write_bart,
}


@pytest.fixture
def samples() -> Tensor:
    """Centred k-space of the asymmetric phantom, two slices, three coils, 20 x 28."""
    return asymmetric_kspace()


@pytest.fixture
def line_mask() -> Tensor:
    """A one-dimensional mask of the phantom's columns, centre block included."""
    mask = torch.zeros(28, dtype=torch.bool)
    mask[::3] = True
    mask[10:18] = True
    return mask
