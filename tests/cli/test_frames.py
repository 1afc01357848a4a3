"""All frames of a file by one command: items of one case, with the coil maps of one frame."""

import json
import logging
from pathlib import Path

import pytest
import torch

from medconsist.results.store import ResultStore
from tests.cli.conftest import Program
from tests.cli.small_scan import small_kspace
from tests.mri.layout_writers import write_skm_tea

METHOD = ("--method", "zerofilled")


@pytest.fixture
def echoes(tmp_path: Path) -> Path:
    """The small scan as ``knee.h5`` with two echoes, the second twice the first."""
    return write_skm_tea(tmp_path / "knee", small_kspace(), echoes=2)


def test_every_frame_becomes_an_item_of_the_case(
    echoes: Path, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    out = echoes.parent / "out"
    words = ("mri", "reconstruct", echoes, "--out", out, *METHOD, "--frame", "all")

    answer = program(*words, "--json")

    assert answer.code == 0, answer.err
    assert {f"knee: frame {number} of 2 ..." for number in (1, 2)} <= set(caplog.messages)
    frames = json.loads(answer.out)["frames"]
    assert [one["item"] for one in frames] == ["frame-0", "frame-1"]
    store = ResultStore(out, "mri")
    results = [store.read("knee", one["key"]) for one in frames]
    assert [one.result.item for one in results] == ["frame-0", "frame-1"]
    assert ["maps_frame" in one.result.config for one in results] == [False, True]
    first, second = (torch.as_tensor(one.array("reconstruction")[:]) for one in results)
    # Same maps and twice the samples: the images differ by that factor alone.
    assert (second - 2 * first).abs().max() <= 1e-4 * second.abs().max()

    again = json.loads(program(*words, "--json").out)["frames"]
    assert [one["fresh"] for one in again] == [False, False]
    alone = program("mri", "reconstruct", echoes, "--out", out, *METHOD, "--frame", "0", "--json")
    assert json.loads(alone.out)["key"] == frames[0]["key"]


def test_text_names_the_frame_and_ends_with_a_path(echoes: Path, program: Program) -> None:
    out = echoes.parent / "out"
    words = ("--frame", "all", "--maps-frame", "own")
    answer = program("mri", "reconstruct", echoes, "--out", out, *METHOD, *words)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("frame-0 of knee: done now.")
    assert "\nframe-1 of knee: done now." in answer.out
    assert Path(answer.out.splitlines()[-1]).is_file()
    store = ResultStore(out, "mri")
    configs = [store.read("knee", key).result.config for key in store.keys("knee")]
    assert not any("maps_frame" in config for config in configs)


def test_a_file_of_one_frame_is_that_one(scan: Path, program: Program) -> None:
    out = scan.parent / "out"
    words = ("mri", "reconstruct", scan, "--out", out, *METHOD, "--json")
    frames = json.loads(program(*words, "--frame", "all").out)["frames"]
    assert [one["item"] for one in frames] == [None]
    assert json.loads(program(*words).out)["key"] == frames[0]["key"]


def test_batch_takes_every_frame_as_a_case_and_sets_damaged_files_aside(
    echoes: Path, program: Program
) -> None:
    out, cut = echoes.parent / "out", echoes.with_name("cut.h5")
    cut.write_bytes(echoes.read_bytes()[:1000])
    words = ("--frame", "all", "--engine", "local", "--workers", 1, "--json")

    answer = program("mri", "reconstruct", echoes, cut, "--out", out, *METHOD, *words)

    assert answer.code == 3, answer.err
    said = json.loads(answer.out)
    assert said["counts"]["done"] == 2
    assert len(said["failures"]) == 1
    store = ResultStore(out, "mri")
    found = [store.read("knee", key).result for key in store.keys("knee")]
    assert {one.item: one.config.get("maps_frame") for one in found} == {
        "frame-0": None,
        "frame-1": 0,
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--frame", "7"), "has no frame 7"),
        (("--frame", "all", "--maps-frame", "2"), "holds 2 frames; allowed: 0 to 1, or own"),
        (("--maps-frame", "0"), "say by --frame which one"),
        (("--frame", "1", "--combine", "rss", "--maps-frame", "0"), "estimates none"),
        (("--frame", "all", "--first-axis", "readout"), "fixed by its layout"),
    ],
)
def test_frames_that_cannot_be_are_refused(
    words: tuple[str, ...], says: str, echoes: Path, program: Program
) -> None:
    out = echoes.parent / "out"
    answer = program("mri", "reconstruct", echoes, "--out", out, *METHOD, *words)
    assert answer.code == 2
    assert says in answer.sentence
    assert not list(out.rglob("result.json"))
