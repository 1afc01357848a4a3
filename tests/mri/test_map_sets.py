"""Two map sets describe an object that is wider than the field of view; one cannot."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.kspace import KSpace
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.methods import CgSense, CompressedSensing
from medconsist.mri.prepare import PrepareConfig, prepare
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.mri.uncertainty.settings import Uncertainty
from medconsist.results.store import StoredResult
from tests.mri.folded_scan import SIGMA, FoldedScan, folded_mask, folded_scan
from tests.mri.tiny_network import write_network

SPARSE = CompressedSensing(lambda_=1e-3)


@pytest.fixture(scope="module")
def folded() -> FoldedScan:
    return folded_scan()


@pytest.fixture(scope="module")
def data(folded: FoldedScan) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(folded.samples.shape, generator=generator, dtype=torch.complex64)
    return (folded.samples + SIGMA * noise) * folded_mask(2.0)


def error_of(found: Tensor, wanted: Tensor) -> float:
    return float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))


def job_of(data: Tensor, folder: Path, sets: int, **more: object) -> StoredResult:
    path = folder / "wide.npy"
    np.save(path, data.numpy())
    prepare = PrepareConfig(calibration=20, espirit=EspiritConfig(sets=sets))
    what = Reconstruction(**{"method": SPARSE, "prepare": prepare, **more})  # type: ignore[arg-type]  # its fields
    return reconstruct_file(Job(input=path, out=folder / str(sets), reconstruction=what)).stored


def score(stored: StoredResult, name: str) -> float:
    return next(one.value for one in stored.result.trust.scores if one.name == name)


def test_true_maps_of_two_sets_unfold_the_object(folded: FoldedScan, data: Tensor) -> None:
    scan = KSpace(data, folded_mask(2.0)[None])
    prepared = prepare(scan, maps=folded.maps)
    images = CgSense(lambda_=1e-4, iterations=60).solve(prepared.measurement) * prepared.scale
    for number in range(2):  # 5 % and 4 %, noise of the inversion
        assert error_of(images[:, number], folded.images[:, number]) < 0.08

    one = prepare(scan, maps=folded.maps[:, :1])
    image = CgSense(lambda_=1e-4, iterations=60)(one.measurement) * one.scale
    assert error_of(image, folded.images[:, 0]) > 0.4


def test_estimated_sets_leave_a_quarter_of_the_error_of_one_set(
    folded: FoldedScan, data: Tensor, tmp_path: Path
) -> None:
    one, two = (job_of(data, tmp_path, sets, comparators=()) for sets in (1, 2))

    # the sets of ESPIRiT are orthonormal, so that combined they are the root sum of squares
    errors = [
        error_of(torch.from_numpy(done.array("reconstruction")).abs(), folded.rss)
        for done in (one, two)
    ]
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 0.04
    for name in ("withheld_error", "residual"):
        assert score(two, name) < 0.3 * score(one, name)


def test_a_network_takes_two_sets_and_everything_about_it_is_stored(
    data: Tensor, tmp_path: Path
) -> None:
    network = LearnedMethod(load_model(write_network(tmp_path / "tiny.safetensors")))
    for kind in ("steps", "splits"):
        wanted = Uncertainty(kind=kind, replicas=2)
        folder = tmp_path / kind
        folder.mkdir()
        done = job_of(data, folder, 2, method=network, comparators=(SPARSE,), uncertainty=wanted)
        shape = (1, *data.shape[-2:])
        assert {"cirim", "uncertainty_cirim", "not_determined"} <= set(done.roles())
        for role in ("reconstruction", "cirim", "uncertainty_cirim", "matched_filter"):
            assert done.array(role).shape == shape
            assert np.isfinite(done.array(role)).all()
        assert float(np.abs(done.array("cirim")).max()) > 0
