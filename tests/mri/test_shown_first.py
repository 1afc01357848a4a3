"""A network is judged against compressed sensing on the same samples; if worse, it is second."""

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.evaluation import evaluate_study
from medconsist.mri.evidence.withheld import withheld_error, withhold
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import AdaptedMethod, ZeroShot, ZeroShotMethod
from medconsist.mri.methods import CompressedSensing, Method, Zerofilled
from medconsist.mri.prepare import prepare
from medconsist.mri.readers import read_kspace
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.shown_first import Solved, judge_images
from medconsist.mri.task import Job, reconstruct_file
from medconsist.mri.trust import TrustConfig
from medconsist.mri.volumes.volume import Measured
from medconsist.results.methods import SHOWN_FIRST, labelled_method, method_of, settings_of
from medconsist.results.schema import SIMULATION_TRAINED
from medconsist.results.store import ResultStore, StoredResult
from tests.cli.small_scan import HEIGHT, WIDTH, small_kspace, write_small_scan
from tests.mri.tiny_network import write_network

BLANK = CompressedSensing(lambda_=1e3)  # its image is zero, and any network agrees better


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shown-first")


@pytest.fixture(scope="module")
def scan(folder: Path) -> Path:
    return write_small_scan(folder / "head.npy")


@pytest.fixture(scope="module")
def network(folder: Path) -> LearnedMethod:
    return LearnedMethod(load_model(write_network(folder / "cirim.safetensors")))


@pytest.fixture(scope="module")
def second(scan: Path, network: LearnedMethod) -> StoredResult:
    """The network beside compressed sensing, which agrees better with the samples."""
    return done(scan, Reconstruction(method=network))


@pytest.fixture(scope="module")
def first(scan: Path, network: LearnedMethod) -> StoredResult:
    """The network beside a blank image."""
    return done(scan, Reconstruction(method=network, comparators=(Zerofilled(), BLANK)))


def done(scan: Path, what: Reconstruction, **more: str) -> StoredResult:
    job = Job(input=scan, out=scan.parent / "out", reconstruction=what, **more)  # type: ignore[arg-type]
    return reconstruct_file(job).stored


def scores(stored: StoredResult) -> dict[str, float]:
    return {score.name: score.value for score in stored.result.trust.scores}


def methods(stored: StoredResult) -> dict[str, str | None]:
    return {array.role: array.method for array in stored.result.arrays}


def said(stored: StoredResult) -> str:
    (note,) = [note for note in stored.result.notes if note.startswith(SHOWN_FIRST)]
    return note


def test_a_network_above_compressed_sensing_is_shown_second(
    scan: Path, second: StoredResult
) -> None:
    learned = second
    classical = done(scan, Reconstruction(method=CompressedSensing()))

    assert methods(learned)["reconstruction"] == "cs"
    assert methods(learned)["cirim"] == "cirim"
    assert "cs" not in learned.roles()
    # This network adds nothing to the zero-filled image, but for a scale and its rounding.
    np.testing.assert_allclose(learned.array("cirim"), learned.array("zerofilled"), atol=1e-5)
    # The record is the one of compressed sensing, sample for sample; the network's is named apart.
    own, beside = scores(learned), scores(classical)
    assert {name: own[name] for name in beside} == pytest.approx(beside, rel=1e-6)
    assert set(own) - set(beside) == {
        *("withheld_error_cirim", "withheld_nrmse_cirim", "withheld_noise_corrected_cirim"),
    }
    assert own["withheld_error_cirim"] > own["withheld_error"]
    for number in (own["withheld_error_cirim"], own["withheld_error"]):
        assert f"{number:.4g} sigma^2" in said(learned)
    assert said(learned).startswith("Shown first: compressed sensing.")


def test_a_network_that_agrees_better_is_shown_first(first: StoredResult) -> None:
    assert methods(first)["reconstruction"] == "cirim"
    assert methods(first)["cs"] == "cs"
    assert scores(first)["withheld_error"] < scores(first)["withheld_error_cs"]
    assert said(first).startswith("Shown first: cirim.")
    assert first.result.trust.settings["shown_first"] == "cirim"


def test_both_errors_are_of_the_same_withheld_samples(
    scan: Path, network: LearnedMethod, second: StoredResult
) -> None:
    prepared = prepare(read_kspace(scan))
    split = withhold(
        prepared.measurement.mask,
        keep_region=prepared.calibration,
        config=TrustConfig().withheld,
        generator=torch.Generator().manual_seed(0),
    )
    wanted = {
        name: withheld_error(method.solve, prepared.measurement, split).chi_square
        for name, method in {"": CompressedSensing(), "_cirim": network}.items()
    }
    found = scores(second)
    for suffix, value in wanted.items():
        assert found[f"withheld_error{suffix}"] == pytest.approx(value, rel=1e-5)


def test_without_withheld_samples_compressed_sensing_is_shown_first(
    tmp_path: Path, network: LearnedMethod
) -> None:
    path = tmp_path / "tiny.npy"
    middle = slice(HEIGHT // 2 - 6, HEIGHT // 2 + 6), slice(WIDTH // 2 - 6, WIDTH // 2 + 6)
    np.save(path, small_kspace()[:, :, *middle].numpy())
    stored = done(path, Reconstruction(method=network))
    assert methods(stored)["reconstruction"] == "cs"
    assert "No sample can be withheld" in said(stored)


def test_the_weights_make_the_key_and_are_named(
    network: LearnedMethod, second: StoredResult
) -> None:
    result = second.result
    assert result.model is not None
    assert result.model.sha256 == network.model.sha256
    assert result.model_copy(update={"model": None}).key != result.key
    assert settings_of(result, "cirim")["weights_sha256"] == network.model.sha256
    assert settings_of(result, "reconstruction")["name"] == "cs"


def _nifti_description(stored: StoredResult) -> bytes:
    image: Any = nibabel.load(stored.file("reconstruction_nifti"))
    described: bytes = image.header["descrip"].item()
    return described


def test_simulation_trained_stands_wherever_the_image_is_named(
    first: StoredResult, second: StoredResult
) -> None:
    for stored, role in ((first, "reconstruction"), (second, "cirim")):
        (record,) = [array for array in stored.result.arrays if array.role == role]
        assert SIMULATION_TRAINED in record.description
        assert labelled_method(stored.result, role) == f"cirim ({SIMULATION_TRAINED})"
        assert any(SIMULATION_TRAINED in note for note in stored.result.notes)
    named = [_nifti_description(stored) for stored in (first, second)]
    assert named[0].startswith(f"cirim, {SIMULATION_TRAINED}; medconsist".encode())
    assert named[1].startswith(b"medconsist, research use only")


def test_weights_of_unknown_training_are_not_called_simulation_trained(
    scan: Path, tmp_path: Path
) -> None:
    path = write_network(tmp_path / "foreign.safetensors", trained_on="unknown")
    result = done(scan, Reconstruction(method=LearnedMethod(load_model(path)))).result
    assert SIMULATION_TRAINED not in result.model_dump_json()
    assert labelled_method(result, "cirim") == "foreign"


@dataclass(frozen=True)
class Counting(ZeroShotMethod):
    """Counts what it adapts to."""

    seen: list[int] = field(default_factory=list)

    def fixed(self, measurement: Measured) -> AdaptedMethod:
        self.seen.append(measurement.whole().n_samples)
        return super().fixed(measurement)


def test_a_network_adapts_once_for_the_image_and_once_without_the_withheld_samples(
    scan: Path, network: LearnedMethod
) -> None:
    prepared = prepare(read_kspace(scan))
    method = Counting(network.model, ZeroShot(steps=2, calibration=12))
    asked: dict[str, Method] = {"reconstruction": method, "cs": BLANK}
    judged = judge_images(
        {role: Solved.of(one, prepared.measurement) for role, one in asked.items()},
        prepared.measurement,
        keep_region=prepared.calibration,
        config=TrustConfig(),
        generator=torch.Generator().manual_seed(0),
    )
    everything = prepared.measurement.n_samples
    assert method.seen[0] == everything
    (withheld,) = method.seen[1:]
    assert withheld < everything
    assert judged.by_role["reconstruction"].method is method
    assert any(note.startswith("Zero-shot:") for note in judged.notes)


def test_the_record_says_which_method_its_history_is_about(
    first: StoredResult, second: StoredResult
) -> None:
    shown = [stored.result.trust.settings["shown_first"] for stored in (first, second)]
    assert shown == ["cirim", "cs"]
    lines = ResultStore(first.folder.path.parents[2], "mri").history.read().lines
    groups = {line.key: line.group for line in lines}
    assert groups[first.result.key] != groups[second.result.key]


def test_a_table_follows_the_method_and_not_its_place(
    tmp_path: Path, network: LearnedMethod
) -> None:
    series = Series(scans=2, slices=1, size=48, coils=3, acceleration=2.0, lesions=1)
    for path in write_series(series, tmp_path / "scans"):
        stored = done(path, Reconstruction(method=network))
        assert method_of(stored.result, "reconstruction") == "cs"
    rows = evaluate_study(tmp_path / "scans" / "out", "mri")
    names = {"cs", "cgsense", "zerofilled", f"cirim ({SIMULATION_TRAINED})"}
    assert {row.case for row in rows} == names
    assert {row.n for row in rows} == {2}
    by_name = {(row.case, row.metric): row.value for row in rows}
    still = by_name[f"cirim ({SIMULATION_TRAINED})", "nmse"]
    assert still == pytest.approx(by_name["zerofilled", "nmse"])


def test_a_network_whose_image_is_not_finite_is_refused_by_its_name(
    scan: Path, network: LearnedMethod
) -> None:
    broken = copy.deepcopy(network.model.network)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    method = LearnedMethod(replace(network.model, network=broken))
    with pytest.raises(RefusedInputError, match="image of cirim is not finite"):
        Solved.of(method, prepare(read_kspace(scan)).measurement)


def test_the_label_survives_a_long_name_of_weights(scan: Path, tmp_path: Path) -> None:
    path = write_network(tmp_path / f"{'name' * 30}.safetensors")
    method = LearnedMethod(load_model(path))
    stored = done(scan, Reconstruction(method=method, comparators=(BLANK,)))
    described = _nifti_description(stored)
    assert f", {SIMULATION_TRAINED}; medconsist, research use only".encode() in described


def test_root_sum_of_squares_is_not_for_networks(network: LearnedMethod) -> None:
    with pytest.raises(RefusedInputError, match="goes with --method zerofilled alone"):
        Reconstruction(method=network, combine="rss")
