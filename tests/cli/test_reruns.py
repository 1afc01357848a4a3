"""A key is written once: reruns change nothing, another setting gets a key of its own."""

import json
from pathlib import Path

import numpy as np

from medconsist.results.store import ResultStore
from tests.cli.conftest import Program
from tests.cli.small_scan import copy_of, fingerprint, small_mask, write_small_scan


def reconstruct(program: Program, scan: Path, *options: object) -> dict[str, object]:
    """Run the command and return what it prints as JSON."""
    out = scan.parent / "out"
    answer = program("mri", "reconstruct", scan, "--out", out, *options, "--json")
    assert answer.code == 0, answer.err
    said: dict[str, object] = json.loads(answer.out)
    return said


def test_rerun_does_nothing(scan: Path, program: Program) -> None:
    first = reconstruct(program, scan)
    before = fingerprint(scan.parent / "out")

    again = reconstruct(program, scan)

    assert (first["fresh"], again["fresh"]) == (True, False)
    assert {**again, "fresh": True} == first
    assert fingerprint(scan.parent / "out") == before


def test_another_config_leaves_the_first_key_untouched_and_current_follows(
    scan: Path, program: Program
) -> None:
    first = reconstruct(program, scan, "--method", "cs")
    store = ResultStore(scan.parent / "out", "mri")
    folder = Path(str(first["result"])).parent
    before = fingerprint(folder)

    second = reconstruct(program, scan, "--method", "cs", "--lambda", "0.01")

    assert second["key"] != first["key"]
    assert fingerprint(folder) == before
    assert store.current("head") == second["key"]
    assert store.keys("head") == sorted([str(first["key"]), str(second["key"])])

    back = reconstruct(program, scan, "--method", "cs")

    assert back["fresh"] is False
    assert store.current("head") == first["key"]
    assert fingerprint(folder) == before
    assert len(store.history.read().lines) == 2


def test_default_spelled_out_is_the_same_key(scan: Path, program: Program) -> None:
    first = reconstruct(program, scan)
    spelled = ("--method", "cs", "--lambda", "0.005", "--regulariser", "wavelet", "--seed", "0")
    assert reconstruct(program, scan, *spelled)["key"] == first["key"]


def test_every_setting_that_changes_the_bytes_changes_the_key(scan: Path, program: Program) -> None:
    np.save(scan.parent / "mask.npy", small_mask().numpy())
    options: list[tuple[object, ...]] = [
        *((), ("--lambda", 0.01), ("--coils", 2), ("--map-sets", 2), ("--seed", 1)),
        *(("--mask", scan.parent / "mask.npy"), ("--method", "zerofilled")),
        ("--method", "zerofilled", "--combine", "rss"),
    ]
    method = ("--method", "cgsense")
    found = {
        reconstruct(program, scan, *(() if "--method" in words else method), *words)["key"]
        for words in options
    }
    assert len(found) == len(options)


def test_key_follows_the_content_of_the_input_and_not_its_name(
    scan: Path, program: Program
) -> None:
    method = ("--method", "zerofilled", "--case", "head")
    first = reconstruct(program, scan, *method)
    renamed = copy_of(scan, scan.with_name("another name.npy"))
    assert reconstruct(program, renamed, *method)["key"] == first["key"]

    write_small_scan(scan, seed=1)

    assert reconstruct(program, scan, *method)["key"] != first["key"]


def test_damaged_result_is_not_served_as_done(scan: Path, program: Program) -> None:
    first = reconstruct(program, scan, "--method", "zerofilled")
    nifti = Path(str(first["result"])).with_name("reconstruction.nii.gz")
    nifti.chmod(0o644)
    nifti.write_bytes(nifti.read_bytes()[:-1])

    answer = program(
        *("mri", "reconstruct", scan, "--out", scan.parent / "out", "--method", "zerofilled")
    )

    assert answer.code == 1
    assert "reconstruction.nii.gz" in answer.sentence


def test_done_case_of_another_patient_is_refused(scan: Path, program: Program) -> None:
    out = scan.parent / "out"
    reconstruct(program, scan, "--method", "zerofilled", "--patient", "p-1")
    before = fingerprint(out)

    answer = program(
        *("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled", "--patient", "p-2")
    )

    assert answer.code == 2
    assert "belongs to patient p-1, got --patient p-2" in answer.sentence
    assert fingerprint(out) == before
    assert reconstruct(program, scan, "--method", "zerofilled")["fresh"] is False


def test_another_setting_for_another_patient_is_refused_too(scan: Path, program: Program) -> None:
    reconstruct(program, scan, "--method", "zerofilled", "--patient", "p-1")
    before = fingerprint(scan.parent / "out")

    answer = program(
        *("mri", "reconstruct", scan, "--out", scan.parent / "out", "--method", "cgsense"),
        *("--patient", "p-2"),
    )

    assert answer.code == 2
    assert "belongs to patient p-1, got --patient p-2" in answer.sentence
    assert fingerprint(scan.parent / "out") == before


def test_the_patient_of_a_case_need_not_be_said_again(scan: Path, program: Program) -> None:
    reconstruct(program, scan, "--method", "zerofilled", "--patient", "p-1")
    reconstruct(program, scan, "--method", "cgsense")

    store = ResultStore(scan.parent / "out", "mri")

    assert {store.read("head", key).result.patient for key in store.keys("head")} == {"p-1"}


def test_files_of_one_name_are_not_mixed_in_one_case(scan: Path, program: Program) -> None:
    out = scan.parent / "out"
    reconstruct(program, scan, "--method", "zerofilled")
    before = fingerprint(out)
    (scan.parent / "other").mkdir()
    other = write_small_scan(scan.parent / "other" / scan.name, seed=1)
    words = ("mri", "reconstruct", other, "--out", out, "--method", "zerofilled")

    answer = program(*words)

    assert answer.code == 2
    assert "holds results of another k-space file" in answer.sentence
    assert fingerprint(out) == before
    assert program(*words, "--case", "head-2").code == 0
    assert ResultStore(out, "mri").cases() == ["head", "head-2"]


def test_a_link_is_read_as_the_file_that_it_names(scan: Path, program: Program) -> None:
    link = scan.with_name("link.npy")
    link.symlink_to(scan)
    words = ("--method", "zerofilled", "--case", "head")

    assert reconstruct(program, link, *words)["key"] == reconstruct(program, scan, *words)["key"]


def test_study_case_and_patient_name_the_place_and_the_record(scan: Path, program: Program) -> None:
    names = ("--study", "brains", "--case", "case-1", "--patient", "p-7")
    said = reconstruct(program, scan, "--method", "zerofilled", *names)

    result = ResultStore(scan.parent / "out", "brains").read("case-1").result

    assert str(said["result"]).endswith(f"out/brains/case-1/{said['key']}/result.json")
    assert (result.study, result.case, result.patient) == ("brains", "case-1", "p-7")


def test_text_ends_with_the_path_of_the_result(scan: Path, program: Program) -> None:
    out = scan.parent / "out"
    answer = program("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled")

    path = Path(answer.out.splitlines()[-1])

    assert path.is_file()
    assert path.name == "result.json"
    assert "Research use only" in answer.out.splitlines()[0]


def test_the_summary_tells_of_an_alarm_of_the_history(program: Program, tmp_path: Path) -> None:
    scan, out = write_small_scan(tmp_path / "scan.npy"), tmp_path / "out"
    words = ("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled")
    assert "History" not in program(*words).out
    store = ResultStore(out, "mri")
    (line,) = store.history.read().lines
    for number in range(60):
        value = (
            line.scores["withheld_error"] + number / 1000 * (-1) ** number + 9.0 * (number >= 40)
        )
        scores = {**line.scores, "withheld_error": value}
        store.history.append(line.model_copy(update={"case": f"other-{number}", "scores": scores}))
    assert "History: withheld_error: alarm at other-4" in program(*words).out
    assert "alarm at other-4" in json.loads(program(*words, "--json").out)["alarms"][0]
