"""No image, map, score or note of a result depends on how its slices were divided into slabs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import ZeroShot, ZeroShotMethod
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled
from medconsist.mri.prepare import PrepareConfig
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.mri.uncertainty.settings import Uncertainty
from medconsist.results.store import StoredResult
from tests.cli.small_scan import left_over, small_kspace
from tests.mri.tiny_network import write_network

SLICES, COILS, SIZE = 4, 3, 48
# CPUs add up float32 in the order they like. One rounding more in every Fourier transform moves
# the images of this scan by 1.5e-6 of their largest value, and what stands here, differences of
# nearly equal images, by a fifth of its bound; a slab divided wrongly moves all by a hundredth.
ROUNDING = 2e-5
AMPLIFIED = {
    "not_determined": 1e-4,  # of the reconstruction's largest value
    "uncertainty": 2e-4,
    "matched_filter": 6e-4,
    "not_determined_share": 3e-4,
    "matched_filter_peak": 1e-4,
}
SMALL = PrepareConfig(calibration=12)


@dataclass(frozen=True)
class Made:
    """A scan with a noise scan, one without, and a small network."""

    noisy: Path
    plain: Path
    network: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("slabs")
    series = Series(
        scans=1, slices=SLICES, size=SIZE, coils=COILS, acceleration=2.0, lesions=1, seed=1
    )
    (noisy,) = write_series(series, folder / "scans")
    kspace = [(1 + 0.3 * seed) * small_kspace(seed=seed).numpy() for seed in range(SLICES)]
    np.save(folder / "plain.npy", np.concatenate(kspace))
    return Made(noisy, folder / "plain.npy", write_network(folder / "tiny.safetensors"))


def stored(path: Path, what: Reconstruction, folder: Path, slices: int | None) -> StoredResult:
    """Return the result of a job whose slabs hold so many slices; None: as it comes."""
    shape = (3, 32, 40) if path.suffix == ".npy" else (COILS, SIZE, SIZE)
    per_slice = 8 * int(np.prod(shape)) * (8 + 4 * what.prepare.espirit.sets)
    asked = None if slices is None else slices * per_slice
    out = folder / str(slices)
    job = Job(input=path, out=out, reconstruction=what, slab_bytes=asked)
    return reconstruct_file(job).stored


def refuse_difference(one: StoredResult, other: StoredResult) -> None:
    assert other.result.key == one.result.key
    assert other.result.notes == one.result.notes
    assert other.roles() == one.roles()
    for role in one.roles():
        if role != "reconstruction_nifti":
            wanted = one.array(role)
            size = float(np.abs(wanted[np.isfinite(wanted)]).max())
            if role == "not_determined":
                size = float(np.abs(one.array("reconstruction")).max())
            rounding = AMPLIFIED.get(role, ROUNDING) * size
            np.testing.assert_allclose(
                other.array(role), wanted, rtol=0, atol=rounding, err_msg=role
            )
    for mine, its in zip(other.result.trust.scores, one.result.trust.scores, strict=True):
        assert (mine.name, mine.n) == (its.name, its.n)
        rounding = AMPLIFIED.get(its.name, ROUNDING)
        assert mine.value == pytest.approx(its.value, rel=rounding, abs=rounding)
        if its.expectation is not None:
            assert mine.expectation == pytest.approx(its.expectation, rel=ROUNDING, abs=ROUNDING)


def test_noise_scan_comparators_and_replicas(made: Made, tmp_path: Path) -> None:
    what = Reconstruction(
        method=CompressedSensing(iterations=8),
        comparators=(Zerofilled(), CgSense(iterations=5)),
        uncertainty=Uncertainty(kind="replica", replicas=2),
    )
    whole = stored(made.noisy, what, tmp_path, None)
    for slices in (1, 3):
        refuse_difference(whole, stored(made.noisy, what, tmp_path, slices))
    assert not any("maps" in name for name in left_over(tmp_path))


def test_virtual_coils_and_two_map_sets_with_splits(made: Made, tmp_path: Path) -> None:
    prepare = PrepareConfig(calibration=12, compress_to=2, espirit=EspiritConfig(sets=2))
    what = Reconstruction(
        method=CompressedSensing(iterations=8),
        comparators=(),
        prepare=prepare,
        uncertainty=Uncertainty(kind="splits", replicas=2),
    )
    whole = stored(made.plain, what, tmp_path, None)
    for slices in (1, 3):
        refuse_difference(whole, stored(made.plain, what, tmp_path, slices))


def test_network_and_its_steps(made: Made, tmp_path: Path) -> None:
    what = Reconstruction(
        method=LearnedMethod(load_model(made.network)),
        comparators=(CompressedSensing(iterations=8),),
        prepare=SMALL,
        uncertainty=Uncertainty(kind="steps"),
    )
    whole = stored(made.plain, what, tmp_path, None)
    for slices in (1, 3):
        refuse_difference(whole, stored(made.plain, what, tmp_path, slices))


def test_adaptation_trains_on_all_slices_whatever_the_slabs(made: Made, tmp_path: Path) -> None:
    settings = ZeroShot(steps=2, calibration=12)
    what = Reconstruction(
        method=ZeroShotMethod(load_model(made.network), settings),
        comparators=(CompressedSensing(iterations=8),),
        prepare=SMALL,
    )
    whole = stored(made.plain, what, tmp_path, None)
    assert any(note.startswith("Zero-shot:") for note in whole.result.notes)
    refuse_difference(whole, stored(made.plain, what, tmp_path, 3))


def test_root_sum_of_squares_without_maps(made: Made, tmp_path: Path) -> None:
    what = Reconstruction(method=Zerofilled(), combine="rss")
    whole = stored(made.noisy, what, tmp_path, None)
    refuse_difference(whole, stored(made.noisy, what, tmp_path, 1))
