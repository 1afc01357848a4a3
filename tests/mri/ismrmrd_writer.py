"""ISMRMRD files written by the `ismrmrd` package itself, from k-space on a grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import torch
from torch import Tensor

NOISE, CALIBRATION, BOTH, REVERSE, NAVIGATOR, DUMMY = 19, 20, 21, 22, 23, 27

SPACE = (
    "<matrixSize><x>{}</x><y>{}</y><z>{}</z></matrixSize>"
    "<fieldOfView_mm><x>{}</x><y>{}</y><z>{}</z></fieldOfView_mm>"
)


def ismrmrd_xml(
    matrix: tuple[int, int, int] = (20, 28, 1),
    fov_mm: tuple[float, float, float] = (40, 84, 5),
    *,
    recon_read: int = 10,
    centres: tuple[int, int] | None = (14, 0),
    more: str = "<trajectory>cartesian</trajectory>",
) -> str:
    """Return a header whose readout is oversampled by ``matrix[0] / recon_read``."""
    recon_fov = (fov_mm[0] * recon_read / matrix[0], *fov_mm[1:])
    limits = "".join(
        f"<kspace_encoding_step_{axis}><minimum>0</minimum><maximum>{matrix[axis] - 1}</maximum>"
        f"<center>{centre}</center></kspace_encoding_step_{axis}>"
        for axis, centre in enumerate(centres or (), start=1)
    )
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        "<acquisitionSystemInformation><systemFieldStrength_T>1.5</systemFieldStrength_T>"
        "</acquisitionSystemInformation><experimentalConditions><H1resonanceFrequency_Hz>1"
        "</H1resonanceFrequency_Hz></experimentalConditions><encoding>"
        f"<encodedSpace>{SPACE.format(*matrix, *fov_mm)}</encodedSpace>"
        f"<reconSpace>{SPACE.format(recon_read, *matrix[1:], *recon_fov)}</reconSpace>"
        f"<encodingLimits>{limits}</encodingLimits>{more}</encoding></ismrmrdHeader>"
    )


def readout(samples: Tensor, *, flags: tuple[int, ...] = (), **head: Any) -> Any:
    """Return one acquisition of ``coils samples``; counters and head fields by name."""
    acquisition = ismrmrd.Acquisition.from_array(
        np.ascontiguousarray(samples.to(torch.complex64).numpy())
    )
    acquisition.center_sample = samples.shape[1] // 2
    acquisition.sample_time_us = 5.0
    for name, value in head.items():
        if hasattr(acquisition.idx, name):
            setattr(acquisition.idx, name, value)
        elif name in ("position", "read_dir", "phase_dir", "slice_dir"):
            getattr(acquisition, name)[:] = value
        else:
            setattr(acquisition, name, value)
    for flag in flags:
        acquisition.set_flag(flag)
    return acquisition


def lines_of(samples: Tensor, **head: Any) -> list[Any]:
    """Return one readout per phase-encoding line of ``slices coils height width``, in order."""
    return [
        readout(samples[s, :, :, line], kspace_encode_step_1=line, **({"slice": s} | head))
        for s in range(samples.shape[0])
        for line in range(samples.shape[3])
    ]


def write_rows(path: Path, rows: list[Any], xml: str | None = None) -> Path:
    """Write acquisitions in this order."""
    target = path.with_suffix(".h5")
    with ismrmrd.Dataset(str(target), mode="w") as file:
        file.write_xml_header((xml or ismrmrd_xml()).encode())
        for row in rows:
            file.append_acquisition(row)
    return target


def write_ismrmrd(path: Path, samples: Tensor) -> Path:
    """Write fully sampled k-space; the last readout of the file is not the last line."""
    lines = lines_of(samples)
    matrix = (samples.shape[2], samples.shape[3], 1)
    header = ismrmrd_xml(matrix, centres=(matrix[1] // 2, 0), recon_read=matrix[0])
    return write_rows(path, lines[::2] + lines[1::2], header)


Writer = Callable[[Path, Tensor], Path]
