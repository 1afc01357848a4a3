"""Simulate, reconstruct, evaluate as a user does; what is printed, and where."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import medconsist
from medconsist.mri.methods import Zerofilled
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.timeseries import demo as signals_demo
from medconsist.wsi.mil.predict_study import PredictedStudy, RefusedCase
from medconsist.wsi.simulate import SlideConfig
from tests.cli.conftest import Answer, Program

SMALL = ("--size", 48, "--slices", 1, "--coils", 3, "--acceleration", 2, "--lesions", 1)


def simulated(program: Program, folder: Path, *options: object) -> list[Path]:
    answer = program("mri", "simulate", "--out", folder, *SMALL, *options, "--json")
    assert answer.code == 0, answer.err
    return [Path(path) for path in json.loads(answer.out)]


def test_simulated_scans_are_reconstructed_and_evaluated(tmp_path: Path, program: Program) -> None:
    out = tmp_path / "results"
    said = {}
    for path in simulated(program, tmp_path / "scans", "--scans", 2):
        answer = program("mri", "reconstruct", path, "--out", out, "--method", "cgsense", "--json")
        assert answer.code == 0, answer.err
        said[path.stem] = json.loads(answer.out)

    table = program("mri", "evaluate", out)
    rows = json.loads(program("mri", "evaluate", out, "--json").out)

    assert {row["n"] for row in rows} == {2}
    for row in rows:
        role = "reconstruction" if row["case"] == "cgsense" else row["case"]
        values = [
            metric["value"]
            for one in said.values()
            for metric in one["metrics"]
            if (metric["role"], metric["name"]) == (role, row["metric"])
        ]
        assert row["value"] == pytest.approx(sum(values) / 2)
        assert f"{row['value']:.4g}" in table.out
    assert all("scan" in line for line in table.out.splitlines()[1:])


def test_json_agrees_with_the_record_and_says_research_only(
    tmp_path: Path, program: Program
) -> None:
    (path,) = simulated(program, tmp_path / "scans")
    answer = program(
        *("mri", "reconstruct", path, "--out", tmp_path / "out", "--method", "zerofilled", "--json")
    )
    said = json.loads(answer.out)
    record = json.loads(Path(said["result"]).read_text())
    assert said["metrics"] == record["metrics"]
    assert said["scores"] == record["trust"]["scores"]
    assert said["said"] == medconsist.RESEARCH_USE_ONLY
    assert answer.out.count("\n") == 1


def test_simulation_is_the_same_for_the_same_seed(tmp_path: Path, program: Program) -> None:
    (one,) = simulated(program, tmp_path / "one", "--seed", 3)
    (two,) = simulated(program, tmp_path / "two", "--seed", 3)
    (other,) = simulated(program, tmp_path / "other", "--seed", 5)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


def test_simulate_prints_one_path_a_line(tmp_path: Path, program: Program) -> None:
    answer = program("mri", "simulate", "--out", tmp_path, *SMALL, "--scans", 2)
    assert [Path(line).name for line in answer.out.splitlines()] == ["scan-000.h5", "scan-001.h5"]
    assert all(Path(line).is_file() for line in answer.out.splitlines())


def test_refused_simulation_leaves_no_folder(tmp_path: Path, program: Program) -> None:
    answer = program("mri", "simulate", "--out", tmp_path / "scans", "--acceleration", 0.5)
    assert answer.code == 2
    assert not (tmp_path / "scans").exists()


def test_demo_prints_one_object_or_a_command_that_the_shell_finds(
    scan: Path, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Reconstruction(method=Zerofilled())
    outcome = reconstruct_file(Job(input=scan, out=tmp_path / "results", reconstruction=settings))
    monkeypatch.setattr("medconsist.mri.demo.run_demo", lambda *_, **__: outcome)
    monkeypatch.setattr("medconsist.wsi.demo.SLIDES", {"drawn": SlideConfig(width=768, height=768)})
    monkeypatch.setattr("medconsist.wsi.mil.demo.TRAIN", 4)
    monkeypatch.setattr("medconsist.wsi.mil.demo.VALIDATION", 4)
    monkeypatch.setattr("medconsist.wsi.mil.demo.SMALL", SlideConfig(width=512, height=512))
    few = replace(signals_demo.RECIPE, patients=24, trials=2)
    monkeypatch.setattr("medconsist.timeseries.demo.RECIPE", few)
    # the system's programs, which scikit-learn asks for the number of cores, and not medconsist
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]))

    text = program("demo", "--out", tmp_path).out
    said = json.loads(program("demo", "--out", tmp_path, "--json").out)

    view, *rest = text.splitlines()[-1].split()
    assert Path(view).absolute() == Path(sys.executable).with_name("medconsist")
    assert rest == ["view", "--results", str(tmp_path / "results")]
    assert said["mri"]["result"] in text.splitlines()
    (slide,) = said["wsi"]["results"]
    assert slide["result"] in text.splitlines()
    (predicted,) = said["mil"]["predicted"]
    assert predicted["fresh"] is False  # the first call made it
    assert f"  {predicted['folder']}" in text.splitlines()
    assert any(note.startswith("Cannot assess") for note in predicted["notes"])  # of 4 patients
    assert said["mil"]["model"] in text.splitlines()
    (signal,) = said["ts"]["predicted"]
    assert signal["fresh"] is False
    assert f"  {signal['folder']}" in text.splitlines()
    assert said["ts"]["leakage"] in text.splitlines()
    assert Path(said["ts"]["ecg"]).read_text().startswith("<svg")

    refused = PredictedStudy((), (RefusedCase("drawn", "corrupt", "It is cut off."),))
    monkeypatch.setattr("medconsist.wsi.mil.demo.predict_all", lambda _: refused)
    answer = program("demo", "--out", tmp_path)
    assert (answer.code, "drawn: corrupt: It is cut off." in answer.out) == (3, True)


def test_evaluation_without_a_reference_is_refused(
    scan: Path, tmp_path: Path, program: Program
) -> None:
    out = tmp_path / "out"
    program("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled")
    answer = program("mri", "evaluate", out, "--json")
    assert answer.code == 2
    assert "has a reference to compare with" in answer.sentence
    assert answer.out == ""


@pytest.mark.parametrize(
    "words",
    [
        *((), ("mri",), ("mri", "reconstruct"), ("mri", "simulate"), ("mri", "evaluate")),
        *(("mri", "train"), ("mri", "import-weights"), ("demo",), ("view",), ("bench",)),
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(words: tuple[str, ...], program: Program) -> None:
    answer = program(*words, "--help")
    assert answer.code == 0
    assert "usage: medconsist" in answer.out
    assert answer.err == ""


def test_research_use_only_is_in_the_help(program: Program) -> None:
    assert "Research use only, not for diagnosis" in program("--help").out


def test_progress_goes_to_stderr_and_the_result_to_stdout(
    scan: Path,
    tmp_path: Path,
    process: Callable[..., subprocess.Popen[str]],
    finished: Callable[[subprocess.Popen[str]], Answer],
) -> None:
    answer = finished(
        process(
            *("mri", "reconstruct", scan, "--out", tmp_path, "--method", "zerofilled"),
            *("--json", "--threads", 1),
        )
    )
    assert answer.code == 0
    assert json.loads(answer.out)["fresh"] is True
    assert "reconstruction ..." in answer.err.splitlines()


def test_no_server_outlives_a_view_that_is_stopped(
    tmp_path: Path, process: Callable[..., subprocess.Popen[str]]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    view = process("view", "--results", tmp_path, "--port", port)
    end = time.monotonic() + 60
    while not answers() and time.monotonic() < end:
        time.sleep(0.1)
    assert answers()

    view.terminate()
    view.communicate(timeout=30)

    assert not answers()


def test_demo_shows_four_methods_their_evidence_and_the_command_to_look(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    answer = program("demo", "--out", tmp_path)
    assert answer.code == 0
    for word in ("cs", "zerofilled", "cgsense", "withheld_error", "ssim"):
        assert word in answer.out
    assert "cirim (simulation-trained)" in answer.out
    assert "Shown first: " in answer.out
    assert answer.out.splitlines()[-1] == f"  medconsist view --results {tmp_path / 'results'}"
