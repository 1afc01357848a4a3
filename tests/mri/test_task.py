"""The reconstruct job: what it computes, in which units, and what it writes down."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist._digests import sha256_of_path
from medconsist.errors import RefusedInputError
from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.evidence.withheld import withheld_error, withhold
from medconsist.mri.formats.cfl import kspace_to_bart, maps_to_bart, write_cfl
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled, method_named
from medconsist.mri.prepare import PrepareConfig, prepare
from medconsist.mri.prewhitening import estimate_sigma
from medconsist.mri.readers import read_kspace
from medconsist.mri.settings import KIND, Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.cases import Outcome
from medconsist.results.store import StoredResult
from medconsist.results.trust import fewest_cases
from tests.cli.small_scan import COILS, HEIGHT, WIDTH, small_kspace, small_mask, write_small_scan
from tests.mri.asymmetric import asymmetric_coils

RSS = Reconstruction(method=Zerofilled(), combine="rss")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_small_scan(tmp_path / "head.npy")


def done(scan: Path, what: Reconstruction, **more: Path | str) -> StoredResult:
    outcome = run(scan, what, **more)
    assert outcome.fresh
    return outcome.stored


def run(scan: Path, what: Reconstruction, **more: Path | str) -> Outcome:
    job = Job(input=scan, out=scan.parent / "out", reconstruction=what)
    return reconstruct_file(replace(job, **more))  # type: ignore[arg-type]  # fields of Job by name


def scores(stored: StoredResult) -> dict[str, float]:
    return {score.name: score.value for score in stored.result.trust.scores}


def test_images_are_stored_beside_what_they_are_compared_with(scan: Path) -> None:
    stored = done(scan, Reconstruction(method=CompressedSensing()))
    assert set(stored.roles()) == {
        *("reconstruction", "zerofilled", "cgsense", "reconstruction_nifti", "sampling_mask"),
        *("not_determined", "refutable_contrast", "matched_filter"),
    }
    assert stored.array("reconstruction").dtype == np.complex64
    assert stored.array("reconstruction").shape == (1, HEIGHT, WIDTH)
    assert stored.result.kind == KIND


def test_comparator_is_the_same_image_as_the_method_on_its_own(scan: Path) -> None:
    beside = done(scan, Reconstruction(method=CompressedSensing()))
    alone = done(scan, Reconstruction(method=CgSense()))
    np.testing.assert_array_equal(beside.array("cgsense"), alone.array("reconstruction"))
    assert "cgsense" not in alone.roles()


@pytest.mark.parametrize("method", [Zerofilled(), CgSense(), CompressedSensing()])
def test_twice_the_samples_give_twice_the_image_and_the_same_evidence(
    method: Zerofilled | CgSense | CompressedSensing, scan: Path
) -> None:
    what = Reconstruction(method=method)
    np.save(scan.with_name("twice.npy"), 2 * small_kspace().numpy())

    one, two = done(scan, what), done(scan.with_name("twice.npy"), what)

    # A factor of two changes no mantissa: the images agree but for the last bits of the scale.
    np.testing.assert_allclose(
        two.array("reconstruction"), 2 * one.array("reconstruction"), rtol=1e-5, atol=1e-5
    )
    assert scores(two) == pytest.approx(scores(one), rel=1e-4)
    np.testing.assert_allclose(
        two.array("not_determined"), 2 * one.array("not_determined"), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(
        two.array("refutable_contrast"), one.array("refutable_contrast"), rtol=1e-3
    )


def test_settings_of_the_record_are_in_the_units_of_the_file(scan: Path) -> None:
    np.save(scan.with_name("twice.npy"), 2 * small_kspace().numpy())
    one, two = (
        done(path, Reconstruction(method=CgSense())).result.trust.settings
        for path in (scan, scan.with_name("twice.npy"))
    )
    assert one["noise_from"] == "outermost samples"
    for name in ("sigma", "reference_intensity"):
        assert two[name] == pytest.approx(2 * float(str(one[name])), rel=1e-5)
    kspace = read_kspace(scan)
    assert one["sigma"] == pytest.approx(estimate_sigma(kspace), rel=1e-5)


def test_a_given_scale_is_in_the_units_of_the_file(scan: Path) -> None:
    prepared = prepare(read_kspace(scan))
    found = CompressedSensing().fixed(prepared.measurement).scale
    assert found is not None
    given = CompressedSensing(scale=found * prepared.scale)
    np.testing.assert_allclose(
        done(scan, Reconstruction(method=given)).array("reconstruction"),
        done(scan, Reconstruction(method=CompressedSensing())).array("reconstruction"),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_scale_of_the_withheld_error_never_saw_the_withheld_samples(scan: Path) -> None:
    what = Reconstruction(method=CompressedSensing(), prepare=PrepareConfig(calibration=10))
    prepared = prepare(read_kspace(scan), config=what.prepare)
    split = withhold(
        prepared.measurement.mask,
        keep_region=prepared.calibration,
        config=what.trust.withheld,
        generator=torch.Generator().manual_seed(what.seed),
    )
    seen = CompressedSensing().fixed(prepared.measurement.visible(split.keep))
    all_of_it = CompressedSensing().fixed(prepared.measurement)
    assert seen.scale != all_of_it.scale
    wanted = withheld_error(seen.solve, prepared.measurement, split).chi_square
    assert scores(done(scan, what))["withheld_error"] == pytest.approx(wanted, rel=1e-6)


def test_a_scan_that_is_all_calibration_gets_an_image_and_a_note(tmp_path: Path) -> None:
    path = tmp_path / "tiny.npy"
    middle = slice(HEIGHT // 2 - 6, HEIGHT // 2 + 6), slice(WIDTH // 2 - 6, WIDTH // 2 + 6)
    np.save(path, small_kspace()[:, :, *middle].numpy())
    stored = done(path, Reconstruction(method=CgSense()))
    assert stored.array("reconstruction").shape == (1, 12, 12)
    assert "residual" in scores(stored)
    assert "withheld_error" not in scores(stored)
    assert any("no withheld evidence" in note for note in stored.result.notes)


def test_same_job_gives_the_same_bytes_in_another_folder(scan: Path) -> None:
    what = Reconstruction(method=CompressedSensing(), seed=5)
    one = done(scan, what)
    two = done(scan, what, out=scan.parent / "elsewhere")
    assert [a.sha256 for a in one.result.arrays] == [a.sha256 for a in two.result.arrays]
    assert scores(one) == scores(two)


def test_seed_moves_the_withheld_samples_and_not_the_image(scan: Path) -> None:
    one = done(scan, Reconstruction(method=CgSense(), seed=1))
    two = done(scan, Reconstruction(method=CgSense(), seed=2))
    assert scores(one)["withheld_error"] != scores(two)["withheld_error"]
    np.testing.assert_array_equal(one.array("reconstruction"), two.array("reconstruction"))


def test_root_sum_of_squares_has_no_trust_record_and_says_so(scan: Path) -> None:
    stored = done(scan, RSS)
    assert stored.result.trust.scores == ()
    assert "Root sum of squares without coil maps: no trust record can be made." in (
        stored.result.notes
    )
    assert set(stored.roles()) == {"reconstruction", "reconstruction_nifti", "sampling_mask"}


def test_root_sum_of_squares_needs_no_calibration_region(tmp_path: Path) -> None:
    path = tmp_path / "no_acs.npy"
    np.save(path, small_kspace(calibration=0).numpy())
    assert done(path, RSS).array("reconstruction").shape == (1, HEIGHT, WIDTH)


def test_several_map_sets_give_a_result_with_its_record(scan: Path) -> None:
    config = PrepareConfig(espirit=EspiritConfig(sets=2))
    two = done(scan, Reconstruction(method=CgSense(), prepare=config))
    one = done(scan, Reconstruction(method=CgSense()))
    assert set(scores(two)) == set(scores(one))
    assert np.isfinite(two.array("not_determined")).all()
    # One set describes this phantom, so the second adds little.
    image = np.abs(one.array("reconstruction"))
    assert np.linalg.norm(np.abs(two.array("reconstruction")) - image) < 0.2 * np.linalg.norm(image)


@pytest.mark.parametrize("kind", ["npy", "cfl"])
def test_given_maps_stand_in_for_a_calibration_region(kind: str, tmp_path: Path) -> None:
    path, maps = tmp_path / "no_acs.npy", tmp_path / f"maps.{kind}"
    np.save(path, small_kspace(calibration=0).numpy())
    true = asymmetric_coils(3, HEIGHT, WIDTH).to(torch.complex64)
    if kind == "npy":
        np.save(maps, true.numpy())
    else:
        write_cfl(maps, maps_to_bart(true[None, None]))

    stored = done(path, Reconstruction(method=CgSense()), maps=maps)

    assert set(stored.result.inputs) == (
        {"kspace", "maps"} if kind == "npy" else {"kspace", "maps_hdr", "maps_cfl"}
    )
    assert not any("ESPIRiT" in note for note in stored.result.notes)


def test_digests_are_those_of_the_files(tmp_path: Path) -> None:
    write_cfl(tmp_path / "head.cfl", kspace_to_bart(small_kspace()))
    np.save(tmp_path / "mask.npy", small_mask().numpy())

    stored = done(tmp_path / "head.cfl", RSS, mask=tmp_path / "mask.npy")

    files = {"kspace_hdr": "head.hdr", "kspace_cfl": "head.cfl", "mask": "mask.npy"}
    assert stored.result.inputs == {
        role: sha256_of_path(tmp_path / name) for role, name in files.items()
    }


@pytest.mark.parametrize("name", ["head", "head.cfl", "head.hdr"])
def test_every_name_of_a_pair_is_the_same_case_and_key(name: str, tmp_path: Path) -> None:
    write_cfl(tmp_path / "head.cfl", kspace_to_bart(small_kspace()))
    first = done(tmp_path / "head.cfl", RSS)
    again = run(tmp_path / name, RSS)
    assert not again.fresh
    assert again.stored.folder.path == first.folder.path


def test_record_says_how_the_result_was_made(scan: Path) -> None:
    result = done(scan, Reconstruction(method=CompressedSensing(lambda_=0.01), seed=4)).result
    assert result.config["methods"]["reconstruction"] == {  # type: ignore[index,call-overload]  # JSON
        "name": "cs",
        "lambda_": 0.01,
        "regulariser": "wavelet",
        "iterations": 60,
        "scale": None,
    }
    assert (result.seed, result.device) == (4, "cpu")
    assert {"read", "prepare", "reconstruction", "trust"} <= set(result.times.steps_s)
    assert "torch" in result.model_dump_json()
    assert result.metrics == ()


def test_history_judges_a_score_only_against_equal_settings(tmp_path: Path) -> None:
    needed = fewest_cases(0.05, "high_is_bad")
    states = []
    for seed in range(needed + 1):
        path = write_small_scan(tmp_path / f"case-{seed}.npy", seed=seed)
        stored = done(path, Reconstruction(method=Zerofilled(), seed=seed))
        (score,) = [s for s in stored.result.trust.scores if s.name == "withheld_error"]
        states.append(score.state)
    other = done(path, Reconstruction(method=CgSense()))

    assert set(states[:-1]) == {"no_history"}
    assert states[-1] != "no_history"
    assert score.p is not None
    assert score.p >= 1 / (needed + 1)
    assert {score.state for score in other.result.trust.scores} == {"no_history"}


def test_given_and_estimated_maps_have_histories_of_their_own(scan: Path) -> None:
    maps = scan.with_name("maps.npy")
    np.save(maps, asymmetric_coils(COILS, HEIGHT, WIDTH).to(torch.complex64).numpy())
    done(scan, Reconstruction(method=CgSense()))
    done(scan, Reconstruction(method=CgSense()), maps=maps, case="with-maps")
    done(scan, Reconstruction(method=CgSense(), seed=1), case="again")
    lines = (scan.parent / "out" / "mri" / "history.jsonl").read_text().splitlines()
    groups = [json.loads(line)["group"] for line in lines]
    assert groups[0] == groups[2] != groups[1]


def test_method_is_made_by_name_with_its_own_weight() -> None:
    assert method_named("cs", lambda_=0.02, regulariser="tv") == CompressedSensing(
        lambda_=0.02, regulariser="tv"
    )
    with pytest.raises(RefusedInputError, match="allowed: cs, cgsense, zerofilled"):
        method_named("magic")
    with pytest.raises(RefusedInputError, match="goes with --method zerofilled alone"):
        Reconstruction(method=CgSense(), combine="rss")
