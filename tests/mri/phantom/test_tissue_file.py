"""Tissue files: place, scale and refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError, ShapeError
from medconsist.mri.phantom.tissue import tissue_index
from medconsist.mri.phantom.tissue_file import TissueFile

WHITE, CSF = (0.77, 1 / 500, 1 / 70), (1.0, 1 / 2569, 1 / 329)


def _write(path: Path, data: np.ndarray, resolution: float = 1.0) -> Path:
    with h5py.File(path, "w") as file:
        file["sample/data"] = data
        file["sample/resolution"] = np.full((3, 1), resolution)
    return path


def _grid(height: int, width: int, step: float) -> torch.Tensor:
    y, x = torch.meshgrid(
        -(torch.arange(height) - height / 2 + 0.5) * step,
        (torch.arange(width) - width / 2 + 0.5) * step,
        indexing="ij",
    )
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1)[None]


@pytest.fixture
def asymmetric(tmp_path: Path) -> Path:
    data = np.zeros((40, 30, 5))
    data[4:30, 6:12, :3] = WHITE
    data[24:30, 12:26, :3] = CSF
    return _write(tmp_path / "tissue.h5", data, resolution=2.0)


def test_pixels_stay_in_place_at_the_scale_of_the_file(
    asymmetric: Path, generator: torch.Generator
) -> None:
    anatomy = TissueFile(asymmetric)(_grid(40, 30, 2.0), 2.0, generator)
    labels = anatomy.fractions.argmax(dim=0)[0]
    wanted = torch.zeros(40, 30, dtype=torch.long)
    wanted[4:30, 6:12] = tissue_index("white")
    wanted[24:30, 12:26] = tissue_index("csf")
    assert torch.equal(labels, wanted)
    torch.testing.assert_close(anatomy.fractions.sum(dim=0), torch.ones(1, 40, 30))


def test_a_finer_grid_shows_the_same_area(asymmetric: Path, generator: torch.Generator) -> None:
    phantom = TissueFile(asymmetric)
    coarse, fine = (phantom(_grid(40 * n, 30 * n, 2 / n), 2 / n, generator) for n in (1, 4))
    areas = [float(a.of("csf").sum()) / n**2 for a, n in ((coarse, 1), (fine, 4))]
    assert areas[1] == pytest.approx(areas[0], rel=0.03)  # corners are rounded by interpolation


def test_unknown_tissue_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    data = np.ones((8, 8, 5))
    with pytest.raises(RefusedInputError, match="no tissue has R1 1 and R2 1"):
        TissueFile(_write(tmp_path / "tissue.h5", data))


def test_continuous_maps_are_refused(tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((8, 8, 5))
    with pytest.raises(RefusedInputError, match="64 different tissues"):
        TissueFile(_write(tmp_path / "tissue.h5", data))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        TissueFile(tmp_path / "none.h5")
    with pytest.raises(ShapeError, match=r"shape \(8, 8\)"):
        TissueFile(_write(tmp_path / "flat.h5", np.ones((8, 8))))
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(RefusedInputError, match="no JEMRIS tissue file"):
        TissueFile(tmp_path / "text.h5")
