"""Files of public data sets, in the layout that their makers document: none may be shared here."""

from math import ceil
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

MATLAB = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema"


def write_matlab(path: Path, **variables: np.ndarray) -> Path:
    """Write variables as MATLAB does: axes reversed, compounds of real and imag, a user block."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            array = np.ascontiguousarray(value.T)
            if array.dtype.kind == "c":
                pair = np.zeros(array.shape, dtype=[("real", "<f4"), ("imag", "<f4")])
                pair["real"], pair["imag"] = array.real, array.imag
                array = pair
            file[name] = array
    with path.open("r+b") as file:
        file.write(MATLAB.ljust(124) + b"\x00\x02IM")
    return path


def write_cmrxrecon(path: Path, samples: Tensor) -> Path:
    """Write fully sampled k-space of one time frame."""
    target = path.with_suffix(".mat")
    return write_matlab(target, kspace_full=samples.permute(2, 3, 1, 0).numpy())


def write_cc359(path: Path, samples: Tensor, *, origin: str = "first pixel") -> Path:
    """Write ``x ky kz 2*coils`` in real numbers, the last 15 % of kz zero.

    By default as public loaders imply: the centre of k-space in the middle, the image origin at the
    first pixel.
    """
    target = path.with_suffix(".h5")
    stored = samples.clone()
    stored[..., ceil(0.85 * samples.shape[-1]) :] = 0
    if origin == "first pixel":
        for axis in (-2, -1):
            n = samples.shape[axis]
            k = torch.arange(n) - n // 2
            ramp = torch.exp(-2j * torch.pi * k * (n // 2) / n).to(stored.dtype)
            stored = stored * (ramp[:, None] if axis == -2 else ramp)
    pairs = torch.view_as_real(stored.permute(0, 2, 3, 1).contiguous()).flatten(3)
    with h5py.File(target, "w") as file:
        file["kspace"] = pairs.numpy()
    return target


def write_skm_tea(path: Path, samples: Tensor, echoes: int = 1) -> Path:
    """Write ``x ky kz echo coil``; echo e is e + 1 times the samples."""
    target = path.with_suffix(".h5")
    volume = samples.permute(0, 2, 3, 1)[:, :, :, None]
    scale = torch.arange(1, echoes + 1)[:, None]
    with h5py.File(target, "w") as file:
        file.create_dataset(
            "kspace", data=(scale * volume).numpy(), chunks=(1, *volume.shape[1:3], 1, 3)
        )
        file["maps"] = np.ones((*volume.shape[:3], 3, 1), np.complex64)
        file["target"] = np.ones((*volume.shape[:3], echoes, 1), np.complex64)
        file["masks/poisson_6.0x"] = np.ones(volume.shape[1:3], np.float32)
    return target
