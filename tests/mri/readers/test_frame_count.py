"""Frames are counted from shapes and heads, in every layout that holds several."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import twixtools
from torch import Tensor

from medconsist.errors import MedconsistError
from medconsist.mri.readers import count_frames
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.conftest import WRITERS
from tests.mri.ismrmrd_writer import NOISE, lines_of, readout, write_rows
from tests.mri.layout_writers import write_matlab, write_skm_tea


def cine(folder: Path, samples: Tensor) -> Path:
    three = np.stack([samples.permute(2, 3, 1, 0).numpy()] * 3, axis=-1)
    return write_matlab(folder / "cine.mat", kspace_full=three)


def echoes(folder: Path, samples: Tensor) -> Path:
    return write_skm_tea(folder / "MTR_005", samples, echoes=3)


def contrasts(folder: Path, samples: Tensor) -> Path:
    """Three contrasts, and a noise scan that counts as a fourth."""
    rows = [row for contrast in range(3) for row in lines_of(samples[:1], contrast=contrast)]
    noise = readout(samples[0, :, :, 0], flags=(NOISE,), contrast=3)
    return write_rows(folder / "scan", [noise, *rows])


@pytest.mark.parametrize("write", [cine, echoes, contrasts])
def test_frames_of_a_file_are_counted(
    write: Callable[[Path, Tensor], Path], tmp_path: Path, samples: Tensor
) -> None:
    assert count_frames(write(tmp_path, samples)) == 3


@pytest.mark.parametrize("kind", WRITERS)
def test_files_without_such_an_axis_hold_one(kind: str, tmp_path: Path, samples: Tensor) -> None:
    assert count_frames(WRITERS[kind](tmp_path / "scan", samples)) == 1


@pytest.mark.data
def test_echoes_of_twix_are_counted(data_dir: Path, tmp_path: Path) -> None:
    gre = data_dir / "mri" / "twixtools_gre.dat"
    assert count_frames(gre) == 1
    (scan,) = twixtools.read_twix(
        str(gre), parse_geometry=False, parse_pmu=False, verbose=False, keep_acqend=True
    )
    scan["mdb"] = [block.convert_to_local() for block in scan["mdb"]]
    for block in scan["mdb"][80:160]:
        block.mdh.Counter.Eco = 1
    twixtools.write_twix(scan, str(tmp_path / "echoes.dat"))
    assert count_frames(tmp_path / "echoes.dat") == 2


def test_what_cannot_be_read_is_refused_as_by_the_reader(tmp_path: Path) -> None:
    path = write_skm_tea(tmp_path / "cut", asymmetric_kspace(), echoes=2)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MedconsistError, match="cut"):
        count_frames(path)
    with pytest.raises(MedconsistError, match="does not exist"):
        count_frames(tmp_path / "none.h5")
