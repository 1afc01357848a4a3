"""Slides and scans as batches, from the command line to the report."""

import json
import shutil
from pathlib import Path

import pytest

from medconsist._extras import require
from medconsist.cli.batch_options import Batching
from medconsist.results.store import ResultStore
from tests.cli.conftest import Program
from tests.cli.small_scan import write_small_scan
from tests.wsi.small_slide import write_small_slide


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in range(2):
        write_small_slide(folder / f"s{number}.svs", seed=number)
    write_small_slide(folder / "silent.tiff", mpp=None)
    (folder / "cut.svs").write_bytes((folder / "s0.svs").read_bytes()[:5000])
    return folder


def test_slides_of_a_manifest_are_embedded_by_workers(
    slides: Path, tmp_path: Path, program: Program
) -> None:
    manifest, out = tmp_path / "cases.csv", tmp_path / "out"
    program("manifest", "build", slides, "--out", manifest)
    words = ("--out", out, "--tile-mpp", "1.0", "--engine", "local", "--workers", 2)

    answer = program("wsi", "embed", manifest, *words, "--json")

    assert answer.code == 3, answer.err
    said = json.loads(answer.out)
    assert said["counts"]["done"] == 2
    assert {one["reason"] for one in said["failures"]} == {"no mpp", "corrupt"}
    assert Path(said["html"]).is_file()
    alone = program("wsi", "embed", slides / "s0.svs", "--out", tmp_path / "alone", *words[2:4])
    assert alone.code == 0
    assert ResultStore(tmp_path / "alone", "wsi").keys("s0")[0] in {
        one["key"] for one in said["results"]
    }

    status = program("batch", "status", out, "--study", "wsi", "--json")
    assert (status.code, json.loads(status.out)["counts"]["done"]) == (3, 2)
    again = program("wsi", "embed", manifest, *words)
    assert again.code == 3
    assert "2 found, 2 quarantined" in again.out
    report = program("batch", "report", out, "--study", "wsi")
    assert (report.code, report.out) == (3, again.out)
    assert program("batch", "retry", out, "--study", "wsi", "--json").code == 0
    assert (
        json.loads(program("batch", "status", out, "--study", "wsi", "--json").out)["counts"][
            "pending"
        ]
        == 2
    )


def test_several_scans_are_a_batch(tmp_path: Path, program: Program) -> None:
    scans = [write_small_scan(tmp_path / f"scan-{number}.npy", seed=number) for number in range(2)]
    words = ("--out", tmp_path / "out", "--method", "zerofilled")
    answer = program("mri", "reconstruct", *scans, *words, "--json")
    assert answer.code == 0, answer.err
    keys = {one["key"] for one in json.loads(answer.out)["results"]}
    alone = tmp_path / "alone"
    for scan in scans:
        program("mri", "reconstruct", scan, "--out", alone, *words[2:])
    store = ResultStore(alone, "mri")
    assert {key for case in store.cases() for key in store.keys(case)} == keys
    status = program("batch", "status", tmp_path / "out", "--study", "mri")
    assert (status.code, "2 done" in status.out) == (0, True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_scans_of_a_manifest_have_its_ids(suffix: str, tmp_path: Path, program: Program) -> None:
    folder, manifest, out = tmp_path / "scans", tmp_path / "cases.csv", tmp_path / "out"
    folder.mkdir()
    for number in range(2):
        write_small_scan(folder / f"P{number}_scan.npy", seed=number)
    build = ("--kind", "kspace", "--patient-from", r"(?P<patient>P\d)_(?P<item>\w+)", "--hash")
    assert program("manifest", "build", folder, "--out", manifest, *build).code == 0
    if suffix == ".parquet":
        table = require("pyarrow.csv", extra="wsi").read_csv(manifest)
        manifest = manifest.with_suffix(suffix)
        require("pyarrow.parquet", extra="wsi").write_table(table, manifest)
    assert program("manifest", "check", manifest, "--hash").code == 0

    words = ("--out", out, "--method", "zerofilled", "--engine", "local")
    answer = program("mri", "reconstruct", manifest, *words, "--json")

    assert answer.code == 0, answer.err
    store = ResultStore(out, "mri")
    stored = [store.read(case).result for case in store.cases()]
    found = [(one.case, one.patient, one.item) for one in stored]
    assert found == [("P0", "P0", "scan"), ("P1", "P1", "scan")]
    both = program("mri", "reconstruct", manifest, *words, "--patient", "P0")
    assert (both.code, "--patient and a manifest were given" in both.sentence) == (2, True)

    scan = folder / "P0_scan.npy"
    scan.write_bytes(scan.read_bytes()[:-1] + b"x")
    assert program("manifest", "check", manifest, "--hash").code == 2


def test_microns_per_pixel_of_scans_are_refused(tmp_path: Path, program: Program) -> None:
    write_small_scan(tmp_path / "head.npy")
    manifest = tmp_path / "cases.csv"
    manifest.write_text("path,mpp\nhead.npy,0.5\n")
    answer = program("mri", "reconstruct", manifest, "--out", tmp_path / "out")
    assert (answer.code, "row 2, column mpp: scans have none" in answer.sentence) == (2, True)


def test_a_damaged_result_is_found_set_aside_and_made_again(
    tmp_path: Path, program: Program
) -> None:
    out = tmp_path / "out"
    scan = write_small_scan(tmp_path / "head.npy")
    flags = ("--method", "zerofilled", "--engine", "local", "--threads", 1)
    words = ("mri", "reconstruct", scan, "--out", out, *flags)
    of_study = (out, "--study", "mri")
    assert program(*words).code == 0
    store = ResultStore(out, "mri")
    before = store.read("head").result
    chunk = next(p for p in store.read("head").folder.path.rglob("c/**/*") if p.is_file())
    chunk.chmod(0o644)
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")

    status = program("batch", "status", *of_study, "--verify")
    assert (status.code, "its result is damaged" in status.out) == (3, True)
    failed = program(*words)
    assert (failed.code, "medconsist batch retry" in failed.out) == (3, True)
    retry = program("batch", "retry", *of_study)
    assert "1 failures forgotten, 1 damaged results set aside" in retry.out
    assert program(*words).code == 0

    after = store.read("head").result
    assert (after.key, after.arrays) == (before.key, before.arrays)
    assert program("batch", "status", *of_study, "--verify").code == 0


def test_threads_reach_the_engine_whatever_it_is() -> None:
    asked = Batching(engine="local", threads=3, workers=2)
    engines = [asked._engine(name) for name in ("local", "ray", "slurm")]
    assert [vars(engine)["_threads"] for engine in engines] == [3, 3, 3]
    assert asked._slurm_parameters().cpus == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--engine", "slurm", "--workers", 0), "--workers must be 1 or more"),
        (("--engine", "local", "--prefetch-gib", 2), "--prefetch-gib goes with --prefetch"),
        (("--engine", "ray", "--gpu-share", 0.5), "--gpu-share goes with --device cuda"),
        (("--engine", "ray", "--ray-address", "a:1"), "--ray-address needs --workers"),
        (("--engine", "slurm", "--device", "cuda:1"), "slurm chooses the GPU"),
        (("--engine", "slurm", "--threads", 4, "--slurm", "cpus=2"), "2 CPUs for 4 threads"),
        (("--workers", 2), "--workers goes with --engine local|ray|slurm"),
        (("--engine", "ray", "--prefetch", "x"), "--prefetch goes with --engine local"),
        (("--engine", "local", "--slurm", "a=1"), "--slurm goes with --engine slurm"),
        (("--engine", "local", "--workers", 0), "--workers must be 1 or more"),
        (("--engine", "local", "--case-seconds", 0), "--case-seconds must be positive"),
        (("--engine", "slurm", "--slurm", "gpu"), "--slurm takes KEY=VALUE"),
        (("--engine", "slurm", "--slurm", "shards=x"), "--slurm shards must be a number"),
    ],
)
def test_flags_that_would_not_be_used_are_refused(
    words: tuple[object, ...], says: str, tmp_path: Path, program: Program
) -> None:
    slide = write_small_slide(tmp_path / "a.svs")
    answer = program("wsi", "embed", slide, "--out", tmp_path / "out", *words)
    assert answer.code == 2
    assert says in answer.sentence
    assert not (tmp_path / "out").exists()


def test_slides_named_alike_are_refused_before_anything_runs(
    slides: Path, tmp_path: Path, program: Program
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2(slides / "s1.svs", other / "s0.svs")
    words = ("--out", tmp_path / "out", "--engine", "local")
    answer = program("wsi", "embed", slides / "s0.svs", other / "s0.svs", *words)
    assert answer.code == 2
    assert "same item 's0' of case 's0'" in answer.sentence
