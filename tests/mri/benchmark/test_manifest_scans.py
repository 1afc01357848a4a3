"""Files of a user: read, split by patient, cut to size, undersampled here."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.manifests.split import read_split
from medconsist.mri.benchmark.manifest_scans import (
    ManifestScans,
    manifest_scans,
    write_benchmark_split,
)
from medconsist.mri.benchmark.run import run_benchmark
from medconsist.mri.scan_file import read_reference
from medconsist.mri.scan_series import Series, write_series
from tests.mri.benchmark.tiny import tiny

DESIGN = tiny(networks=("varnet",), steps=1, only_cells=("1-D 4x", "FLAIR, 2-D 8x"))
SERIES = Series(scans=8, contrast="T1w", slices=3, size=32, coils=4, lesions=0, acceleration=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients of the simulator with a T1w scan each, and of four of them a FLAIR scan."""
    folder = tmp_path_factory.mktemp("files")
    write_series(SERIES, folder / "t1w")
    write_series(replace(SERIES, contrast="FLAIR", seed=1), folder / "flair")
    rows = ["path,patient,case,label"]
    for number in range(SERIES.scans):
        for contrast, label in (("t1w", "T1w"), ("flair", "FLAIR")):
            name = f"{contrast}/scan-{number:03d}.h5"
            rows.append(f"{name},p{number},p{number}-{contrast},{label}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def source(folder: Path) -> ManifestScans:
    return manifest_scans(DESIGN, folder / "cases.csv")


def test_no_patient_is_in_two_parts(source: ManifestScans) -> None:
    patients = [{row.patient for row in rows} for rows in source.rows.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == SERIES.scans


def test_labels_make_the_contrast_shift(source: ManifestScans) -> None:
    assert [cell.name for cell in source.cells] == ["1-D 4x", "FLAIR, 2-D 8x"]
    assert [cell.scans.contrast for cell in source.cells] == ["T1w", "FLAIR"]
    for cell in source.cells:
        assert source.count("test", cell.scans) == 2


def test_no_contrast_is_singled_out_where_no_test_scan_has_it(source: ManifestScans) -> None:
    flair = tuple(row for row in source.rows["test"] if row.label == "FLAIR")
    other = replace(source, rows=dict(source.rows) | {"test": flair})
    assert {cell.scans.contrast for cell in other.cells} == {None}
    assert other._trained_on is None  # training takes all, not T1w alone
    assert source._trained_on == "T1w"


def test_networks_learn_from_t1w_slices_alone(source: ManifestScans, tmp_path: Path) -> None:
    pool = source.pool("training", tmp_path)
    patients = {row.patient for row in source.rows["training"]}
    assert len(pool) == DESIGN.training_slices * min(len(patients), DESIGN.training_scans)
    assert pool.samples.shape[1:] == (8, 32, 32)
    assert not pool.samples[:, 4:].any()  # coils that are not there measure nothing
    assert not pool.maps[:, 4:].any()
    assert torch.allclose(pool.reference.flatten(1).quantile(0.99, dim=1), torch.ones(()))


def test_the_reference_is_the_combination_of_the_full_samples(source: ManifestScans) -> None:
    kind = source.cells[0].scans
    scan = source.scan("test", 0, kind)
    row = next(row for row in source.rows["test"] if row.label == "T1w")
    true = read_reference(row.path)
    assert true is not None
    inside = scan.reference > 0.2 * scan.reference.max()
    wanted = true[1:2][inside]
    # noise of the scan at SNR 30, and maps by ESPIRiT
    assert float((scan.reference[inside] / wanted - 1).abs().median()) < 0.1


def test_a_scan_is_the_same_each_time(source: ManifestScans) -> None:
    first, again = (source.scan("test", 1, source.cells[0].scans) for _ in range(2))
    assert torch.equal(first.samples, again.samples)
    assert first.mask_seed == again.mask_seed


def test_the_table_is_of_patients_scans(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run_benchmark(out, DESIGN, data=folder / "cases.csv", workers=1).report
    rows = [row for row in report.rows if row.metric == "ssim"]
    assert {row.unit_of_analysis for row in rows} == {"scan, one a patient"}
    assert any(row.case == "scans of the manifest, FLAIR, 2-D 8x, varnet" for row in rows)
    assert len(read_split(out / "split.json").patients) == SERIES.scans


def test_a_split_is_written_once(source: ManifestScans, tmp_path: Path) -> None:
    write_benchmark_split(source, tmp_path)
    write_benchmark_split(source, tmp_path)
    assert (tmp_path / "split.json").is_file()


def test_undersampled_files_are_refused_by_name(
    folder: Path, source: ManifestScans, tmp_path: Path
) -> None:
    undersampled = replace(SERIES, scans=1, acceleration=4.0, size=64)
    (path,) = write_series(undersampled, tmp_path)
    row = source.rows["test"][0].model_copy(update={"path": path})
    other = replace(source, rows=dict(source.rows) | {"test": (row,)})
    with pytest.raises(RefusedInputError, match=r"scan-000.h5 is undersampled \(4x\)"):
        other.scan("test", 0, replace(source.cells[0].scans, contrast=row.label))


def test_planes_smaller_than_asked_are_refused(folder: Path, source: ManifestScans) -> None:
    large = replace(source, design=replace(DESIGN, size=64))
    with pytest.raises(RefusedInputError, match="planes of 32 x 32, and 64 x 64 were asked for"):
        large.scan("test", 0, source.cells[0].scans)


def test_too_few_patients_are_refused(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "cases.csv").read_text().splitlines()
    few = folder / "few.csv"
    few.write_text("\n".join(lines[:7]) + "\n")
    with pytest.raises(RefusedInputError, match="leaves fewer than 2 patients for"):
        manifest_scans(DESIGN, few)
