"""Echoes whose coil maps come from one of them: their phases differ by the object alone."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import CgSense, Zerofilled
from medconsist.mri.preparation import Coils, Preparation
from medconsist.mri.prepare import PrepareConfig
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.mri.volumes.prepare_volume import Room, calibrate_coils, prepare_volume
from medconsist.operators.fourier import Fourier
from medconsist.results.store import StoredResult
from tests.cli.small_scan import SIGMA, small_mask
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image
from tests.mri.layout_writers import write_skm_tea

SLICES, COILS, HEIGHT, WIDTH = 2, 3, 32, 40
WHAT = Reconstruction(
    method=CgSense(lambda_=1e-3), comparators=(), prepare=PrepareConfig(calibration=12)
)


def object_phase() -> Tensor:
    """The phase that the object gains from one echo to the next."""
    rows, columns = torch.linspace(-1, 1, HEIGHT)[:, None], torch.linspace(-1, 1, WIDTH)
    return 1.2 * rows * columns + 0.8


def echo(number: int) -> Tensor:
    """Return noisy samples of an echo, all of them, ``slices coils height width``."""
    generator = torch.Generator().manual_seed(number)
    image = asymmetric_image(HEIGHT, WIDTH) * torch.exp(1j * number * object_phase())
    coils = asymmetric_coils(COILS, HEIGHT, WIDTH) * image
    samples = Fourier()(coils.to(torch.complex64)).expand(SLICES, -1, -1, -1)
    noise = torch.randn(samples.shape, generator=generator, dtype=samples.dtype)
    return samples + SIGMA * noise


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """The job of the second echo of a file of two."""
    path = write_skm_tea(tmp_path / "echoes", echo(0), echoes=2)
    with h5py.File(path, "r+") as file:
        for number in range(2):
            file["kspace"][:, :, :, number] = echo(number).permute(0, 2, 3, 1).numpy()
    return Job(input=path, out=tmp_path / "out", reconstruction=WHAT, frame=1)


def phase_error(one: StoredResult, other: StoredResult) -> float:
    """Return the root mean square of the phase that is not the object's, where it is bright."""
    images = [torch.from_numpy(stored.array("reconstruction")) for stored in (one, other)]
    gained = (images[1] * images[0].conj() * torch.exp(-1j * object_phase())).angle()
    inside = asymmetric_image(HEIGHT, WIDTH).expand(SLICES, -1, -1) >= 2
    return float(gained[inside].square().mean().sqrt())


def test_phase_between_echoes_is_that_of_the_object(job: Job) -> None:
    first = reconstruct_file(replace(job, frame=0)).stored
    shared = reconstruct_file(replace(job, maps_frame=0)).stored
    own = reconstruct_file(job).stored

    assert phase_error(first, shared) < 0.1  # noise is a fortieth of the signal
    assert not np.array_equal(own.array("reconstruction"), shared.array("reconstruction"))


def test_key_and_note_name_the_frame_of_the_maps(job: Job) -> None:
    own, shared, same = (replace(job, maps_frame=frame) for frame in (None, 0, 1))
    digests = job.input_digests()
    assert own.key(digests) == same.key(digests) != shared.key(digests)
    assert own.as_config() == same.as_config()
    assert shared.as_config()["maps_frame"] == 0

    done = reconstruct_file(shared).stored
    assert any(note.endswith("12 x 12 samples of frame 0.") for note in done.result.notes)
    assert not reconstruct_file(shared).fresh


@pytest.mark.parametrize("slab_bytes", [1, 2**30])
def test_no_sample_of_the_scan_has_a_part_in_borrowed_maps(slab_bytes: int, tmp_path: Path) -> None:
    config = PrepareConfig(calibration=12, compress_to=2)
    room = Room(folder=tmp_path, slab_bytes=slab_bytes)
    mask = small_mask()[None]
    lent = Coils(calibration=calibrate_coils(KSpace(echo(0) * mask, mask), room, config=config))

    one = prepare_volume(KSpace(echo(1) * mask, mask), room, config=config, coils=lent)
    other = prepare_volume(KSpace(3 * echo(2) * mask, mask), room, config=config, coils=lent)
    itself = prepare_volume(KSpace(echo(0) * mask, mask), room, config=config)

    assert torch.equal(one.calibration, itself.calibration)  # withheld errors of frames compare
    for found in (other, itself):
        assert torch.equal(one.measurement.whole().maps, found.measurement.whole().maps)


def test_borrowed_maps_of_another_grid_are_refused(tmp_path: Path) -> None:
    config, room = PrepareConfig(calibration=12), Room(folder=tmp_path)
    lent = calibrate_coils(KSpace(echo(0) * small_mask(), small_mask()[None]), room, config=config)
    other = KSpace((echo(1) * small_mask())[..., 2:], small_mask()[None, :, 2:])
    with pytest.raises(ShapeError, match="Let each frame make its own maps"):
        prepare_volume(other, room, config=config, coils=Coils(calibration=lent))
    with pytest.raises(RefusedInputError, match="pass one of the two"):
        Coils(torch.ones(1, 1, 3, 4, 4) + 0j, lent)


def test_virtual_coils_of_a_complete_readout_are_refused_by_a_frame_with_gaps(
    tmp_path: Path,
) -> None:
    """They are mixed at each place along it: in the samples of such a frame that fills gaps."""
    room, full = Room(folder=tmp_path), torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    gaps = KSpace(echo(1) * small_mask(), small_mask()[None])
    for compress_to in (2, None):
        config = PrepareConfig(calibration=12, compress_to=compress_to)
        lent = calibrate_coils(KSpace(echo(0), full), room, config=config)
        coils = Coils(calibration=replace(lent, origin=" of frame 0"))
        if compress_to is not None:
            with pytest.raises(RefusedInputError, match=r"of frame 0 vary.*--maps-frame own"):
                prepare_volume(gaps, room, config=config, coils=coils)
        else:
            prepare_volume(gaps, room, config=config, coils=coils)
        prepare_volume(KSpace(echo(1), full), room, config=config, coils=coils)


def test_what_borrowed_maps_saw_lies_where_the_samples_do(tmp_path: Path) -> None:
    """The meta device, of shapes alone, takes the place of a GPU: a volume of one slab moves."""
    config, room = PrepareConfig(calibration=12), Room(folder=tmp_path)
    mask = small_mask()[None]
    lent = calibrate_coils(KSpace(echo(0) * mask, mask), room, config=config)
    noise = torch.randn(COILS, 200, dtype=torch.complex64, generator=torch.Generator())
    moved = KSpace((echo(1) * mask).to("meta"), mask, noise=noise)
    ready = Preparation.of(moved, config, Coils(calibration=lent))
    assert ready.used.device == ready.kspace.data.device == torch.device("meta")


def test_a_frame_for_maps_that_none_are_made_from_is_refused(job: Job, tmp_path: Path) -> None:
    rss = Reconstruction(method=Zerofilled(), combine="rss")
    for more in ({"maps": tmp_path / "maps.npy"}, {"reconstruction": rss}):
        with pytest.raises(RefusedInputError, match="leave one of the two out"):
            replace(job, maps_frame=0, **more)
    with pytest.raises(RefusedInputError, match="say by --frame which one"):
        replace(job, frame=None, maps_frame=0)
    with pytest.raises(RefusedInputError, match="slab_bytes got 0"):
        replace(job, slab_bytes=0)
