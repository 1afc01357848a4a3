"""Slides from the command line: simulate, embed, export; what is refused, and how it is said."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import medconsist
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag_store import bags_of
from medconsist.wsi.bags.clam import read_clam_features
from medconsist.wsi.bags.trident import read_trident
from tests.cli.conftest import Answer, Program
from tests.cli.small_scan import fingerprint, left_over
from tests.wsi.small_slide import write_small_slide

COARSE = ("--tile-mpp", "1.0")  # few tiles of 224 px


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_small_slide(tmp_path / "biopsy.svs")


def embedded(program: Program, *words: object) -> dict[str, Any]:
    """Run the command on one slide and return what it prints of it as JSON."""
    answer = program("wsi", "embed", *words, *COARSE, "--json")
    assert answer.code == 0, answer.err
    (said,) = json.loads(answer.out)["results"]
    return dict(said)


def test_simulated_slides_are_embedded_and_exported(tmp_path: Path, program: Program) -> None:
    size = ("--width", 768, "--height", 768, "--slides", 2, "--seed", 3)
    lines = program("wsi", "simulate", "--out", tmp_path / "slides", *size).out.splitlines()
    assert [Path(line).name for line in lines] == ["slide-000.svs", "slide-001.svs"]

    answer = program("wsi", "embed", *lines, "--out", tmp_path / "out", *COARSE)

    assert answer.code == 0, answer.err
    text = answer.out.splitlines()
    assert text[0] == medconsist.RESEARCH_USE_ONLY
    assert [Path(line).name for line in text[-2:]] == ["result.json", "result.json"]
    bags = {str(entry.slide): entry.open() for entry in bags_of(tmp_path / "out", "wsi")}
    assert set(bags) == {"slide-000", "slide-001"}
    for layout, folder in (("clam", "h5_files"), ("trident", ".")):
        files = tmp_path / layout
        done = program("wsi", "export", tmp_path / "out", "--out", files, "--layout", layout)
        assert done.code == 0, done.err
        assert [Path(line) for line in done.out.splitlines()] == [
            files / folder / f"{name}.h5" for name in sorted(bags)
        ]
    for name, bag in bags.items():
        clam = read_clam_features(tmp_path / "clam" / "h5_files" / f"{name}.h5")
        trident = read_trident(tmp_path / "trident" / f"{name}.h5")
        for found in (clam, trident):
            assert torch.equal(found.features.float(), bag.features.float())
            np.testing.assert_array_equal(found.coords, bag.coords.numpy())


def test_simulation_is_the_same_for_the_same_seed(tmp_path: Path, program: Program) -> None:
    size = ("--width", 256, "--height", 256, "--json", "--layout", "tiff", "--slides", 2)
    found = {}
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        answer = program("wsi", "simulate", "--out", tmp_path / name, *size, "--seed", seed)
        found[name] = [Path(path).read_bytes() for path in json.loads(answer.out)]
    assert found["one"] == found["two"]
    assert len({*found["one"], *found["other"]}) == 4


def test_json_agrees_with_the_record_and_says_research_only(slide: Path, program: Program) -> None:
    words = ("wsi", "embed", slide, "--out", slide.parent / "out", *COARSE, "--json")
    answer = program(*words)
    said = json.loads(answer.out)
    (one,) = said["results"]
    record = json.loads(Path(one["result"]).read_text())
    assert one["metrics"] == record["metrics"]
    assert (one["fresh"], said["refused"]) == (True, [])
    assert said["said"] == medconsist.RESEARCH_USE_ONLY
    assert answer.out.count("\n") == 1


def test_a_rerun_does_nothing(slide: Path, program: Program) -> None:
    out = slide.parent / "out"
    first = embedded(program, slide, "--out", out)
    before = fingerprint(out)

    again = embedded(program, slide, "--out", out)

    assert (first["fresh"], again["fresh"]) == (True, False)
    assert {**again, "fresh": True} == first
    assert fingerprint(out) == before


def test_every_option_that_changes_the_features_changes_the_key(
    slide: Path, program: Program
) -> None:
    out = slide.parent / "out"
    first = embedded(program, slide, "--out", out)
    folder = Path(first["result"]).parent
    before = fingerprint(folder)
    options: list[tuple[object, ...]] = [
        *(("--overlap", 32), ("--min-tissue", 0.4), ("--mpp", 0.55), ("--decoder", "openslide")),
        *(("--stain", "any"), ("--refuse-other-stain",), ("--upsampling",)),
        ("--encoder", "resnet18-random"),
    ]
    keys = {embedded(program, slide, "--out", out, *words)["key"] for words in options}
    assert len(keys | {first["key"]}) == len(options) + 1
    assert fingerprint(folder) == before
    for words in ((), ("--batch", 3), ("--threads", 1), ("--seed", 5)):
        assert embedded(program, slide, "--out", out, *words)["key"] == first["key"]


def test_study_case_and_patient_name_the_place_and_the_record(
    slide: Path, program: Program
) -> None:
    other = write_small_slide(slide.with_name("second.svs"), seed=1)
    names = ("--study", "breast", "--case", "case-1", "--patient", "p-7")
    answer = program("wsi", "embed", slide, other, "--out", slide.parent / "out", *names, *COARSE)
    assert answer.code == 0, answer.err
    entries = bags_of(slide.parent / "out", "breast")
    assert [(e.patient, e.case, e.slide) for e in entries] == [
        ("p-7", "case-1", "biopsy"),
        ("p-7", "case-1", "second"),
    ]


Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Bad:
    """A way to ask for the impossible, and a part of the sentence that answers it."""

    says: str
    make: Make = lambda folder: write_small_slide(folder / "biopsy.svs")
    options: tuple[str, ...] = ()
    code: int = 2


def small(name: str = "biopsy.svs", **changes: Any) -> Make:
    return lambda folder: write_small_slide(folder / name, **changes)


def bytes_of(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def cut(share: float) -> Make:
    def make(folder: Path) -> Path:
        path = write_small_slide(folder / "biopsy.svs")
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


def photograph(folder: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(folder / "biopsy.jpg")
    return folder / "biopsy.jpg"


def link_to_nothing(folder: Path) -> Path:
    (folder / "biopsy.svs").symlink_to(folder / "gone.svs")
    return folder / "biopsy.svs"


BAD = {
    "missing file": Bad("none.svs does not exist", lambda folder: folder / "none.svs"),
    "link to nothing": Bad("does not exist", link_to_nothing),
    "folder": Bad("is a folder; give a slide", lambda folder: folder),
    "device": Bad("not a regular file", lambda _: Path("/dev/null"), ("--case", "x")),
    "empty file": Bad("empty", bytes_of("biopsy.svs", b"")),
    "text": Bad("biopsy.svs", bytes_of("biopsy.svs", b"no slide at all\n")),
    "zeros": Bad("biopsy.svs", bytes_of("biopsy.svs", bytes(5000))),
    "photograph": Bad("biopsy.jpg", photograph),
    "head alone": Bad("biopsy.svs", cut(0.0005)),
    "half of it": Bad("biopsy.svs", cut(0.5)),
    "a byte too few": Bad("biopsy.svs", cut(0.9999)),
    "no microns": Bad("Give the value by --mpp", small("biopsy.tiff", mpp=None)),
    "microns of a 72-dpi tag": Bad("cannot be right", small("biopsy.tiff", mpp=352.78)),
    "no tissue": Bad("no tissue was found", small(tissue=0)),
    "smaller than a tile": Bad("and a tile 224 x 224", small(width=128, height=128)),
    "fluorescence": Bad("made for he", small(stain="fluorescence"), ("--refuse-other-stain",)),
    "too fine": Bad("or say --upsampling", options=("--tile-mpp", "0.25")),
    "microns of zero": Bad("cannot be right", options=("--mpp", "0")),
    "negative microns": Bad("cannot be right", options=("--mpp", "-0.5")),
    "microns NaN": Bad("cannot be right", options=("--mpp", "nan")),
    "tiles of zero microns": Bad("--tile-mpp takes 0.05 to", options=("--tile-mpp", "0")),
    "all of a tile shared": Bad("overlap_px within", options=("--overlap", "224")),
    "negative overlap": Bad("overlap_px must be 0 or more", options=("--overlap", "-1")),
    "no tissue needed": Bad("min_tissue must lie", options=("--min-tissue", "0")),
    "more than all tissue": Bad("min_tissue must lie", options=("--min-tissue", "1.5")),
    "no batch": Bad("must be 1 or more", options=("--batch", "0")),
    "no threads": Bad("--threads must be 1 or more", options=("--threads", "0")),
    "unknown encoder": Bad("There is no encoder 'resnet'", options=("--encoder", "resnet")),
    "no weights": Bad("uni needs its weights", options=("--encoder", "uni")),
    "missing weights": Bad(
        "w.safetensors", options=("--encoder", "resnet18", "--weights", "FOLDER/w.safetensors")
    ),
    "weights for none": Bad("takes no weights", options=("--weights", "FOLDER/w.safetensors")),
    "precision of colours": Bad("fp32 alone", options=("--precision", "bf16")),
    "unknown device": Bad("--device must be cpu, cuda or cuda:N", options=("--device", "tpu")),
    "device not here": Bad("--device cuda:99 was asked for", options=("--device", "cuda:99")),
    "case that leaves": Bad("case id '../x' is not a safe name", options=("--case", "../x")),
    "empty patient": Bad("patient id '' is not a safe name", options=("--patient", "")),
    "study that leaves": Bad("study id '/etc' is not a safe name", options=("--study", "/etc")),
    "name with blanks": Bad("--case NAME", small("my biopsy.svs")),
    "negative seed": Bad("--seed must lie in 0..", options=("--seed", "-1")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    case: str, tmp_path: Path, program: Program
) -> None:
    bad, out = BAD[case], tmp_path / "out"
    path = bad.make(tmp_path)
    options = [word.replace("FOLDER", str(tmp_path)) for word in bad.options]

    answer = program("wsi", "embed", path, "--out", out, *options)

    assert answer.code == bad.code
    assert bad.says in answer.sentence
    assert answer.out == ""
    assert left_over(out) == []


@pytest.mark.parametrize(
    "words",
    [
        *(("embed", "--out", "x"), ("embed", "a.svs"), ("export", "x", "--out", "y")),
        *(("embed", "a.svs", "--out", "x", "--stain", "giemsa"), ("doctor",), ("simulate",)),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_code_2(words: tuple[str, ...], program: Program) -> None:
    answer = program("wsi", *words)
    assert answer.code == 2
    assert answer.out == ""


def test_of_several_slides_the_good_ones_are_done_and_the_exit_code_is_3(
    slide: Path, program: Program
) -> None:
    out = slide.parent / "out"
    paths = [
        bytes_of("text.svs", b"no slide")(slide.parent),
        slide,
        write_small_slide(slide.with_name("glass.svs"), tissue=0),
        slide.with_name("none.svs"),
    ]

    answer = program("wsi", "embed", *paths, "--out", out, *COARSE)
    said = program("wsi", "embed", *paths, "--out", out, *COARSE, "--json")

    assert (answer.code, said.code) == (3, 3)
    refused = json.loads(said.out)["refused"]
    assert [Path(one["slide"]).name for one in refused] == ["text.svs", "glass.svs", "none.svs"]
    assert [one["reason"] for one in refused] == ["unsupported", "no tissue", "failed"]
    for one in refused:
        assert one["said"] in answer.out
    assert answer.out.splitlines()[-1].endswith("result.json")
    assert ResultStore(out, "wsi").cases() == ["biopsy"]


def test_several_slides_that_are_all_refused_leave_nothing(
    tmp_path: Path, program: Program
) -> None:
    paths = [tmp_path / "a.svs", tmp_path / "b.svs"]
    answer = program("wsi", "embed", *paths, "--out", tmp_path / "out")
    assert answer.code == 3
    assert "a.svs does not exist" in answer.out
    assert "b.svs does not exist" in answer.out
    assert not (tmp_path / "out").exists()


def test_a_slide_of_another_patient_is_refused(slide: Path, program: Program) -> None:
    out = slide.parent / "out"
    embedded(program, slide, "--out", out, "--patient", "p-1")
    before = fingerprint(out)
    answer = program("wsi", "embed", slide, "--out", out, *COARSE, "--patient", "p-2")
    assert answer.code == 2
    assert "belongs to patient p-1, got --patient p-2" in answer.sentence
    assert fingerprint(out) == before


def test_a_damaged_result_is_not_served_as_done(slide: Path, program: Program) -> None:
    out = slide.parent / "out"
    bag = Path(embedded(program, slide, "--out", out)["result"]).with_name("bag.safetensors")
    bag.chmod(0o644)
    bag.write_bytes(bag.read_bytes()[:-1])
    answer = program("wsi", "embed", slide, "--out", out, *COARSE)
    assert answer.code == 1
    assert "bag.safetensors" in answer.sentence


def test_a_stain_that_the_encoder_was_not_made_for_is_flagged(
    tmp_path: Path, program: Program
) -> None:
    dark = write_small_slide(tmp_path / "dark.svs", stain="fluorescence")
    notes = embedded(program, dark, "--out", tmp_path / "out")["notes"]
    assert any("the stain looks fluorescence" in note for note in notes)
    fitting = ("--stain", "fluorescence", "--refuse-other-stain")
    notes = embedded(program, dark, "--out", tmp_path / "out", *fitting)["notes"]
    assert not any("looks" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--slides", 0), "slides must be 1 or more"),
        (("--width", 8), "64 or more on each side"),
        (("--slide-mpp", 0), "allowed: above 0"),
        (("--tumour", 2), "allowed: 0 to 1"),
        (("--faults", "coffee"), "got the faults ['coffee']"),
    ],
    ids=str,
)
def test_refused_simulation_leaves_no_folder(
    options: tuple[object, ...], says: str, tmp_path: Path, program: Program
) -> None:
    answer = program("wsi", "simulate", "--out", tmp_path / "slides", *options)
    assert answer.code == 2
    assert says in answer.sentence
    assert not (tmp_path / "slides").exists()


@pytest.mark.parametrize("layout", ["clam", "trident"])
def test_export_of_nothing_is_refused(layout: str, tmp_path: Path, program: Program) -> None:
    words = (tmp_path / "none", "--out", tmp_path / "files", "--layout", layout)
    answer = program("wsi", "export", *words)
    assert answer.code == 2
    assert "Run medconsist wsi embed first" in answer.sentence
    assert not (tmp_path / "files").exists()


def test_export_of_two_slides_of_one_name_is_refused(slide: Path, program: Program) -> None:
    out = slide.parent / "out"
    embedded(program, slide, "--out", out)
    embedded(program, slide, "--out", out, "--case", "another")
    words = (out, "--out", slide.parent / "files", "--layout", "clam")
    answer = program("wsi", "export", *words)
    assert answer.code == 2
    assert "are both of a slide named biopsy" in answer.sentence
    assert not (slide.parent / "files").exists()


def test_doctor_says_what_a_slide_is_and_writes_nothing(slide: Path, program: Program) -> None:
    before = fingerprint(slide.parent)

    text = program("wsi", "doctor", slide)
    said = json.loads(program("wsi", "doctor", slide, "--json").out)

    assert (text.code, text.err) == (0, "")
    assert (said["engine"], said["problems"]) == ("direct", [])
    assert said["microns per pixel"] == "0.5 x 0.5 (aperio.MPP)"
    assert said["stain"].startswith("he ")
    for name in ("levels", "stored as", "tissue", "tiles", "rho", "expected time"):
        assert name in said
        assert name in text.out
    assert fingerprint(slide.parent) == before


@pytest.mark.parametrize(
    ("make", "reason", "says"),
    [
        (bytes_of("biopsy.svs", b"no slide"), "unsupported", "biopsy.svs is a text"),
        (cut(0.5), "corrupt", "biopsy.svs"),
        (small("biopsy.tiff", mpp=None), "no mpp", "Give the value by --mpp"),
        (small(tissue=0), "no tissue", "no tissue was found"),
        (small(mpp=1.0), "unsupported", "finer than the slide"),
    ],
    ids=["text", "cut", "no microns", "no tissue", "coarse"],
)
def test_doctor_names_what_keeps_a_slide_from_being_embedded(
    make: Make, reason: str, says: str, tmp_path: Path, program: Program
) -> None:
    path = make(tmp_path)
    answer = program("wsi", "doctor", path)
    (problem,) = json.loads(program("wsi", "doctor", path, "--json").out)["problems"]
    assert answer.code == 2
    assert f"cannot be embedded ({reason}): " in answer.out.splitlines()[-1]
    assert problem["reason"] == reason
    assert says in problem["said"]


def test_doctor_draws_the_tissue_it_found(slide: Path, program: Program, tmp_path: Path) -> None:
    picture = tmp_path / "overview.png"
    assert program("wsi", "doctor", slide, "--picture", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_doctor_of_a_missing_slide_is_one_sentence(tmp_path: Path, program: Program) -> None:
    answer = program("wsi", "doctor", tmp_path / "none.svs")
    assert answer.code == 2
    assert "none.svs" in answer.sentence
    assert answer.out == ""


@pytest.mark.parametrize(
    "words",
    [("wsi",), *(("wsi", verb) for verb in ("embed", "doctor", "simulate", "export"))],
    ids=" ".join,
)
def test_every_verb_explains_itself(words: tuple[str, ...], program: Program) -> None:
    answer = program(*words, "--help")
    assert answer.code == 0
    assert "usage: medconsist" in answer.out
    assert answer.err == ""


@pytest.mark.parametrize("words", [("wsi", "embed", "--help"), ("wsi", "--help")], ids=" ".join)
def test_the_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "medconsist", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    heavy = {"torch", "openslide", "h5py", "zarr", "PIL", "scipy", "skimage", "numpy", "pydantic"}
    assert imported & heavy == set()
    assert "tyro" in imported


def test_progress_goes_to_stderr_and_the_result_to_stdout(
    slide: Path,
    process: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[["subprocess.Popen[str]"], Answer],
) -> None:
    words = ("wsi", "embed", slide, "--out", slide.parent / "out", *COARSE, "--json")
    answer = finished(process(*words, "--threads", 1))
    assert answer.code == 0
    assert json.loads(answer.out)["results"][0]["fresh"] is True
    assert "embed ..." in answer.err.splitlines()


def test_nothing_is_fetched(slide: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert embedded(program, slide, "--out", slide.parent / "out")["fresh"] is True
    answer = program("wsi", "embed", slide, "--out", slide.parent / "x", "--encoder", "dinov2-s")
    assert "nothing is fetched" in answer.sentence
