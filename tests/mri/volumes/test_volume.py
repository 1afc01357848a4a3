"""A volume in slabs is the measurement that it would be at once."""

import gc
import logging
import resource
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import BudgetError, CalibrationError, StorageError
from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.forward import Measurement
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import CompressedSensing
from medconsist.mri.preparation import Coils
from medconsist.mri.prepare import PrepareConfig, prepare
from medconsist.mri.volumes.map_spool import MapSpool
from medconsist.mri.volumes.prepare_volume import Room, prepare_volume
from medconsist.mri.volumes.volume import Volume, slabs_within
from tests.cli.small_scan import COILS, HEIGHT, SIGMA, WIDTH, left_over
from tests.mri.asymmetric import asymmetric_coils, asymmetric_kspace

SLICES = 4
SMALL = PrepareConfig(calibration=12)


def lines() -> Tensor:
    """A mask of whole columns, so that the readout is complete."""
    chosen = torch.rand(WIDTH, generator=torch.Generator().manual_seed(2)) < 0.5
    chosen[WIDTH // 2 - 6 : WIDTH // 2 + 6] = True
    return chosen.expand(1, HEIGHT, WIDTH).clone()


def scan(*, noise: Tensor | None = None) -> KSpace:
    """Return slices of different brightness, twice as many rows as the images are to have."""
    generator, mask = torch.Generator().manual_seed(0), lines()
    samples = asymmetric_kspace(SLICES, COILS, HEIGHT, WIDTH)
    own = torch.randn(samples.shape, dtype=samples.dtype, generator=generator)
    return KSpace(
        (samples + SIGMA * own) * mask, mask, noise=noise, recon_matrix=(HEIGHT // 2, None)
    )


def in_slabs(measurement: Measurement, size: int = 1) -> Volume:
    shape = measurement.samples.shape
    parts = tuple(
        slice(n, min(n + size, len(measurement.samples))) for n in range(0, shape[0], size)
    )
    maps = measurement.maps
    return Volume(
        measurement.samples, measurement.mask, measurement.sigma, parts, lambda a: maps[a]
    )


@pytest.mark.parametrize("compress_to", [None, 2])
def test_preparation_in_slabs_is_that_of_the_volume(
    compress_to: int | None, tmp_path: Path, generator: Generator
) -> None:
    noise = torch.randn(3, 200, dtype=torch.complex64, generator=generator)
    noise[1] += 0.5 * noise[0]
    config = PrepareConfig(calibration=12, compress_to=compress_to)
    whole = prepare(scan(noise=noise), config=config)
    found = prepare_volume(scan(noise=noise), Room(folder=tmp_path, slab_bytes=1), config=config)
    assert len(found.measurement.parts) == SLICES
    joined = found.measurement.whole()
    # the same steps on the same numbers: a transform of one slice may round as it pleases
    torch.testing.assert_close(joined.samples, whole.measurement.samples, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(joined.maps, whole.measurement.maps, rtol=1e-4, atol=1e-4)
    assert found.scale == pytest.approx(whole.scale, rel=1e-6)
    assert joined.sigma == pytest.approx(whole.measurement.sigma, rel=1e-6)
    assert found.kspace.notes == whole.kspace.notes
    assert torch.equal(found.calibration, whole.calibration)


def test_given_maps_are_whitened_slab_by_slab(tmp_path: Path, generator: Generator) -> None:
    noise = torch.randn(3, 200, dtype=torch.complex64, generator=generator)
    noise[1] += 0.5 * noise[0]
    maps = asymmetric_coils(COILS, HEIGHT, WIDTH)[None, None].to(torch.complex64)
    coils, room = Coils(maps), Room(folder=tmp_path, slab_bytes=1)
    found = prepare_volume(scan(noise=noise), room, config=SMALL, coils=coils)
    whole = prepare(scan(noise=noise), config=SMALL, maps=maps)
    torch.testing.assert_close(found.measurement.whole().maps, whole.measurement.maps)
    assert left_over(tmp_path) == []


def test_samples_that_are_not_seen_have_no_part_in_a_scale(generator: Generator) -> None:
    measurement = prepare(scan(), config=SMALL).measurement
    keep = torch.rand(measurement.mask.shape, generator=generator) < 0.7
    for asked in (measurement.mask, keep):  # with a sampled centre, and without
        one = CompressedSensing().fixed(measurement.visible(asked)).scale
        other = CompressedSensing().fixed(in_slabs(measurement).visible(asked)).scale
        assert other == pytest.approx(one, rel=1e-6)


def test_every_slice_is_in_one_slab_and_none_is_empty() -> None:
    shape = (11, 3, 32, 40)
    per_slice = 3 * 32 * 40 * 8 * 12
    for wanted in (1, 3, 11, 100):
        parts = slabs_within(shape, sets=1, slab_bytes=wanted * per_slice)
        assert [n for at in parts for n in range(at.start, at.stop)] == list(range(11))
        assert max(at.stop - at.start for at in parts) == min(wanted, 11)
    assert len(slabs_within(shape, sets=1, slab_bytes=1)) == 11


def test_a_volume_too_large_for_training_on_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = in_slabs(prepare(scan(), config=SMALL).measurement)
    monkeypatch.setattr("medconsist.mri.volumes.volume.WHOLE_BYTES", 1000)
    with pytest.raises(BudgetError, match=r"--zero-shot, --adapt.* of all slices at once"):
        volume.whole()


def test_progress_says_which_slices_are_worked_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = in_slabs(prepare(scan(), config=SMALL).measurement, size=2)
    caplog.set_level(logging.INFO)
    list(volume.slabs("cs"))
    assert caplog.messages == []  # fast passes are not told of
    monkeypatch.setattr("medconsist.mri.volumes.progress._SECONDS", 0.0)
    list(volume.slabs("cs"))
    assert caplog.messages == [
        "cs: slab 1 of 2, slices 0 to 1",
        "cs: slab 2 of 2, slices 2 to 3",
    ]


def test_slices_without_maps_are_refused_all_at_once(tmp_path: Path) -> None:
    quiet, config = scan(), PrepareConfig(calibration=12, espirit=EspiritConfig(crop=0.97))
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, COILS, HEIGHT, WIDTH, dtype=torch.complex64, generator=generator)
    quiet.data[[1, 3]] = noise * quiet.mask
    with pytest.raises(CalibrationError, match=r"no coil maps in slices \[1, 3\]"):
        prepare_volume(quiet, Room(folder=tmp_path, slab_bytes=1), config=config)
    assert left_over(tmp_path) == []


def test_maps_come_back_from_their_file_bit_by_bit(tmp_path: Path, generator: Generator) -> None:
    maps = torch.randn(5, 2, 3, 6, 4, dtype=torch.complex64, generator=generator)
    spool = MapSpool(tmp_path / "new", device="cpu")
    parts = [slice(0, 2), slice(2, 4), slice(4, 5)]
    for at in parts:
        spool.add(at, maps[at])
    for at in reversed(parts):
        assert torch.equal(spool(at), maps[at])
    assert left_over(tmp_path) == []


def test_maps_of_double_precision_come_back_so(tmp_path: Path, generator: Generator) -> None:
    maps = torch.randn(2, 1, 3, 6, 4, dtype=torch.complex128, generator=generator)
    spool = MapSpool(tmp_path, device="cpu")
    spool.add(slice(0, 2), maps)
    assert torch.equal(spool(slice(0, 2)), maps)


def test_a_disk_that_is_full_is_named_once_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    maps = torch.zeros(1, 1, 1, 30, 30, dtype=torch.complex64)  # fits into a buffer of Python
    spool = MapSpool(tmp_path, device="cpu")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot be kept in .*Make room there"):
            spool.add(slice(0, 1), maps)
        del spool  # a second error, as the file is closed, would be a warning here
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_over(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="take a folder with room as --out"):
        MapSpool(tmp_path / "file", device="cpu")
