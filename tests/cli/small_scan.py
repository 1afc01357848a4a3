"""One small scan without a simulator: the asymmetric phantom, white noise, half of the samples."""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image

HEIGHT, WIDTH, COILS = 32, 40, 3
SIGMA = 0.05


def small_mask(*, calibration: int = 12) -> Tensor:
    """Return a two-dimensional mask of about half of the samples with a full centre."""
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(HEIGHT, WIDTH, generator=generator) < 0.5
    rows, columns = HEIGHT // 2, WIDTH // 2
    half = calibration // 2
    mask[rows - half : rows + half, columns - half : columns + half] = True
    if calibration == 0:
        mask[rows, columns] = False
    return mask


def small_kspace(*, seed: int = 0, calibration: int = 12) -> Tensor:
    """Return ``1 coils height width``; the noise has standard deviation `SIGMA`."""
    generator = torch.Generator().manual_seed(seed)
    coils = asymmetric_coils(COILS, HEIGHT, WIDTH) * asymmetric_image(HEIGHT, WIDTH)
    samples = Fourier()(coils.to(torch.complex64))[None]
    noise = torch.randn(samples.shape, generator=generator, dtype=samples.dtype)
    return (samples + SIGMA * noise) * small_mask(calibration=calibration)


def write_small_scan(path: Path, *, seed: int = 0) -> Path:
    """Write the scan as NumPy and return its path."""
    np.save(path, small_kspace(seed=seed).numpy())
    return path


def left_over(folder: Path) -> list[str]:
    """Return every file under a folder, hidden ones too; none if the folder was not made."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def fingerprint(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and time of change of every file under a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def copy_of(path: Path, target: Path) -> Path:
    """Copy a file, times included, and return the copy."""
    return Path(shutil.copy2(path, target))
