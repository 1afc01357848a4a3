"""From results with references to a calibration, and back into a result."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import LearnedModel, load_model
from medconsist.mri.methods import CgSense, Method, Zerofilled
from medconsist.mri.prepare import PrepareConfig, prepare
from medconsist.mri.readers import read_kspace
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.mri.uncertainty.calibration import Calibration, Wanted
from medconsist.mri.uncertainty.pseudo_replica import replica_spread
from medconsist.mri.uncertainty.scan_conformal import half_width
from medconsist.mri.uncertainty.settings import Kind, Uncertainty, deciding_settings
from medconsist.mri.uncertainty.study import calibrate_study
from medconsist.results.store import StoredResult
from medconsist.training.draws import generator_for
from tests.mri.tiny_network import write_network

WANTED = Wanted(alpha=0.5)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    series = Series(scans=2, slices=1, size=40, coils=3, acceleration=2.0, seed=3)
    return write_series(series, tmp_path_factory.mktemp("scans"))


def done(
    scan: Path,
    out: Path,
    *,
    method: Method | None = None,
    patient: str | None = None,
    **more: object,
) -> StoredResult:
    uncertainty = Uncertainty(**{"kind": "replica", "replicas": 2, **more})  # type: ignore[arg-type]  # fields by name
    what = Reconstruction(
        method=method or Zerofilled(),
        comparators=(),
        prepare=PrepareConfig(calibration=24),
        uncertainty=uncertainty,
    )
    return reconstruct_file(Job(input=scan, out=out, reconstruction=what, patient=patient)).stored


@pytest.fixture(scope="module")
def study(scans: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    for scan in scans:
        done(scan, out)
    return out


@pytest.fixture(scope="module")
def calibration(study: Path) -> Calibration:
    return calibrate_study(study, "mri", WANTED)


def test_the_stored_map_is_that_of_the_method_in_units_of_the_file(
    scans: list[Path], study: Path
) -> None:
    stored = done(scans[0], study)
    prepared = prepare(read_kspace(scans[0]))
    expected = replica_spread(
        Zerofilled(), prepared.measurement, replicas=2, generator=generator_for(0, 1)
    )
    np.testing.assert_allclose(
        stored.array("uncertainty"), (expected.magnitude * prepared.scale).numpy(), rtol=1e-4
    )
    record = stored.record("uncertainty")
    assert record.unit == stored.record("reconstruction").unit
    assert record.method == "zerofilled"
    assert "uncertainty" in stored.result.trust.maps
    assert any("by 2 pseudo replicas" in note for note in stored.result.notes)


def test_a_calibration_makes_the_map_a_half_width(
    scans: list[Path], study: Path, calibration: Calibration, tmp_path: Path
) -> None:
    plain = done(scans[1], study)
    with_bound = done(scans[1], tmp_path, calibration=calibration)
    image, spread = (torch.from_numpy(plain.array(r)) for r in ("reconstruction", "uncertainty"))
    expected = half_width(spread, image, factor=calibration.factor)
    np.testing.assert_allclose(with_bound.array("uncertainty"), expected.numpy(), rtol=1e-4)
    said = [note for note in with_bound.result.notes if note.startswith("uncertainty")]
    assert "valid under exchangeability only, and 2 of them are scans of this simulator" in said[0]
    assert plain.result.key != with_bound.result.key
    assert calibration.scans == tuple(
        f"{scan.stem}/{done(scan, study).result.key}" for scan in scans
    )
    with pytest.raises(RefusedInputError, match="half-width of a calibration already"):
        calibrate_study(tmp_path, "mri", WANTED)


@pytest.mark.parametrize(
    "other", [{"method": CgSense()}, {"kind": "splits"}, {"replicas": 3}], ids=str
)
def test_a_calibration_is_refused_for_other_settings(
    other: dict[str, object], scans: list[Path], calibration: Calibration, tmp_path: Path
) -> None:
    with pytest.raises(RefusedInputError, match="A factor means nothing for another method"):
        done(scans[0], tmp_path, calibration=calibration, **other)  # type: ignore[arg-type]  # by name
    assert not any(path.name == "result.json" for path in tmp_path.rglob("*"))


def settings_of(*, maps_given: bool = False, noise_from: str = "noise scan", **more: object) -> str:
    what: dict[str, object] = {"method": CgSense(), "uncertainty": Uncertainty(kind="replica")}
    config = Reconstruction(**(what | more)).as_config()  # type: ignore[arg-type]  # fields by name
    return repr(deciding_settings(config, maps_given=maps_given, noise_from=noise_from))


def test_a_calibration_is_for_all_that_decides_image_and_map() -> None:
    one = settings_of()
    assert settings_of(maps_given=True) != one
    assert settings_of(noise_from="edge of k-space") != one
    assert settings_of(prepare=PrepareConfig(calibration=20)) != one
    assert settings_of(method=CgSense(iterations=20)) != one
    assert settings_of(uncertainty=Uncertainty(kind="splits")) != one
    assert settings_of(uncertainty=Uncertainty(kind="replica", replicas=21)) != one
    assert settings_of(seed=1, comparators=()) == one


def test_without_uncertainty_the_settings_stay_what_they_were() -> None:
    assert "uncertainty" not in Reconstruction(method=Zerofilled()).as_config()


def test_a_network_that_stands_second_keeps_its_map_under_another_role(
    scans: list[Path], tmp_path: Path
) -> None:
    method = LearnedMethod(load_model(write_network(tmp_path / "tiny.safetensors")))
    stored = done(scans[0], tmp_path / "out", method=method, kind="steps")
    assert "uncertainty_cirim" in stored.roles()
    assert "uncertainty" not in stored.roles()
    assert stored.record("uncertainty_cirim").method == "tiny"
    assert "simulation-trained" in stored.record("uncertainty_cirim").description
    made = calibrate_study(tmp_path / "out", "mri", Wanted(promise="pixels", alpha=0.5))
    assert made.settings["uncertainty"] == {"kind": "steps", "replicas": None}


def test_scans_that_cannot_be_pooled_are_refused(scans: list[Path], tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="is not there"):
        calibrate_study(tmp_path / "none", "mri", WANTED)
    for scan in scans:
        done(scan, tmp_path / "one", patient="P1")
    with pytest.raises(RefusedInputError, match="patient P1 has two scans"):
        calibrate_study(tmp_path / "one", "mri", WANTED)
    for scan, replicas in zip(scans, (2, 3), strict=True):
        done(scan, tmp_path / "two", replicas=replicas)
    with pytest.raises(RefusedInputError, match="other settings than the cases before it"):
        calibrate_study(tmp_path / "two", "mri", WANTED)
    plain = Reconstruction(method=Zerofilled(), comparators=())
    reconstruct_file(Job(input=scans[0], out=tmp_path / "none", reconstruction=plain))
    with pytest.raises(RefusedInputError, match="both a reference and a map of uncertainty"):
        calibrate_study(tmp_path / "none", "mri", WANTED)


def test_maps_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="--uncertainty steps is of a network, got"):
        Reconstruction(method=CgSense(), uncertainty=Uncertainty(kind="steps"))
    with pytest.raises(RefusedInputError, match="--combine rss has no uncertainty"):
        Reconstruction(method=Zerofilled(), combine="rss", uncertainty=Uncertainty(kind="replica"))
    with pytest.raises(RefusedInputError, match="'replica' with 1 replicas"):
        Uncertainty(kind="replica", replicas=1)


@pytest.mark.parametrize("kind", ["replica", "splits"])
def test_the_noise_level_of_the_noise_scan_reaches_the_network(
    kind: Kind, scans: list[Path], tmp_path: Path, generator: torch.Generator
) -> None:
    """Sigma of the whitened samples, and no other, gives the stored image of a noise-aware one."""
    config = CirimConfig(cascades=1, steps=2, features=4, noise_input=True)
    network = Cirim(config, generator=generator).eval().requires_grad_(requires_grad=False)
    method = LearnedMethod(LearnedModel(network, "aware", "0" * 64, {}))
    stored = done(scans[0], tmp_path, method=method, kind=kind)
    role = "reconstruction" if stored.record("reconstruction").method == "aware" else "cirim"
    prepared = prepare(read_kspace(scans[0]))
    assert prepared.noise_from == "noise scan"
    seen = prepared.measurement
    scale = method.fixed(seen).scale
    assert scale is not None
    arguments = (seen.samples / scale, seen.mask, seen.maps)
    images = [
        network(*arguments, torch.tensor([level / scale]))[-1, -1, :, 0] * scale * prepared.scale
        for level in (seen.sigma, 2 * seen.sigma)
    ]
    found = torch.from_numpy(stored.array(role))
    torch.testing.assert_close(found, images[0], rtol=1e-3, atol=1e-4 * float(found.abs().max()))
    assert float((found - images[1]).abs().max()) > 1e-3 * float(found.abs().max())
