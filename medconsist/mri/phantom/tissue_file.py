"""Anatomy from a file of tissue classes in the JEMRIS layout, e.g. KomaMRI's brain."""

import hashlib
import math
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from medconsist.errors import MissingInputError, RefusedInputError, ShapeError
from medconsist.mri.phantom.tissue import TISSUES, Anatomy

__all__ = ["TissueFile"]

_SHARPNESS = 6  # power that narrows interpolated borders to about half a voxel of the file
_MATCH = 0.1  # relative difference in T1 and T2 that still is the same tissue
_MAX_CLASSES = 32
_MAX_PIXELS = 4096**2


class TissueFile:
    """One slice of tissue classes, used at every height; the deformation makes slices differ.

    Layout: ``/sample/data``, ``rows columns (M0, R1 [1/ms], R2 [1/ms], R2*, dB)`` and
    ``/sample/resolution`` [mm], row 0 in front (the meaning of the columns is inferred from
    JEMRIS). R2* and dB are not used. Each class is matched to the tissue with its T1 and T2.

    Parameters
    ----------
    path
        The file; trusted, since it is opened in this process.

    Raises
    ------
    MissingInputError
        If the file does not exist.
    ShapeError, RefusedInputError
        If it has another layout, or classes that match none of `TISSUES`.

    References
    ----------
    C. Castillo-Passi et al., "KomaMRI.jl", Magn. Reson. Med. 90 (2023) 329,
    doi:10.1002/mrm.29635; T. Stoecker et al., "JEMRIS", Magn. Reson. Med. 64 (2010) 186,
    doi:10.1002/mrm.22406.

    Examples
    --------
    >>> TissueFile(Path("brain.h5"))
    Traceback (most recent call last):
    medconsist.errors.MissingInputError: brain.h5 does not exist; name a JEMRIS file of tissues.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            msg = f"{path} does not exist; name a JEMRIS file of tissues."
            raise MissingInputError(msg)
        samples, self._resolution_mm = _read(path)
        self._shares = _classify(samples, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.name = f"{path.name}, sha256 {digest}"

    def __call__(
        self,
        points: Float[Tensor, "slices height width 3"],
        spacing_mm: float,  # noqa: ARG002  the call is that of every phantom
        generator: Generator,  # noqa: ARG002
    ) -> Anatomy:
        """Fill the grid ``points`` [mm]: x and y count, z does not."""
        shares = self._shares.to(points)
        _, rows, columns = shares.shape
        # the middle of the file lies at (0, 0); align_corners puts -1 and 1 on pixel centres
        to_unit = points.new_tensor([columns - 1, rows - 1]) / 2
        step = points.new_tensor(self._resolution_mm)
        places = points[..., :2] * points.new_tensor([1.0, -1.0]) / step / to_unit
        batch = shares.expand(len(points), *shares.shape)
        smooth = grid_sample(batch, places, mode="bicubic", align_corners=True).clamp_min(0)
        smooth[:, 0] += (1 - smooth.sum(dim=1)).clamp_min(0)
        sharp = smooth**_SHARPNESS
        return Anatomy((sharp / sharp.sum(dim=1, keepdim=True)).transpose(0, 1))


def _read(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    try:
        with h5py.File(path, "r") as file:
            data, resolution = file["sample/data"], file["sample/resolution"][()].ravel()
            if data.ndim != 3 or data.shape[2] < 3 or data.shape[0] * data.shape[1] > _MAX_PIXELS:
                msg = (
                    f"{path.name}: sample/data has shape {data.shape}; allowed: (rows, columns, "
                    "5), at most 4096 x 4096."
                )
                raise ShapeError(msg)
            samples = data[..., :3].astype(np.float64)
    except (KeyError, OSError) as error:
        msg = f"{path.name} is no JEMRIS tissue file: {error}. It must be HDF5 with sample/data."
        raise RefusedInputError(msg) from error
    return samples, (float(resolution[0]), float(resolution[1]))


def _classify(samples: np.ndarray, path: Path) -> Tensor:
    """Return the tissue shares of each pixel, 0 or 1, ``tissues rows columns``."""
    classes, index = np.unique(samples.reshape(-1, 3), axis=0, return_inverse=True)
    if len(classes) > _MAX_CLASSES or not np.isfinite(classes).all():
        msg = (
            f"{path.name} has {len(classes)} different tissues; allowed: up to {_MAX_CLASSES} "
            "finite classes. Segment continuous maps first."
        )
        raise RefusedInputError(msg)
    labels = torch.tensor([_match(values, path) for values in classes])[torch.from_numpy(index)]
    shares = torch.nn.functional.one_hot(labels, len(TISSUES)).T
    return shares.reshape(len(TISSUES), *samples.shape[:2]).float()


def _match(values: np.ndarray, path: Path) -> int:
    m0, r1, r2 = (float(value) for value in values)
    if m0 == 0:
        return 0
    if r1 > 0 and r2 > 0:
        for index, tissue in enumerate(TISSUES[1:], start=1):
            gaps = abs(math.log(tissue.t1_ms * r1)), abs(math.log(tissue.t2_ms * r2))
            if max(gaps) < _MATCH:
                return index
    known = ", ".join(f"{t.name} {t.t1_ms:g}/{t.t2_ms:g}" for t in TISSUES[1:])
    msg = f"{path.name}: no tissue has R1 {r1:.4g} and R2 {r2:.4g} 1/ms; known T1/T2 [ms]: {known}."
    raise RefusedInputError(msg)
