"""Bad input gets one clear sentence, exit code 2, and nothing half-written."""

import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.cli.conftest import Answer, Program
from tests.cli.small_scan import (
    HEIGHT,
    WIDTH,
    left_over,
    small_kspace,
    small_mask,
    write_small_scan,
)
from tests.mri.conftest import write_bart, write_fastmri

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Bad:
    """A way to ask for the impossible, and a part of the sentence that answers it."""

    says: str
    make: Make = lambda folder: write_small_scan(folder / "head.npy")
    options: tuple[str, ...] = ()
    files: dict[str, np.ndarray] = field(default_factory=dict)

    def words(self, folder: Path) -> list[str]:
        for name, array in self.files.items():
            np.save(folder / name, array)
        placed = [word.replace("FOLDER", str(folder)) for word in self.options]
        return ["mri", "reconstruct", str(self.make(folder)), *placed]


def saved(array: Tensor, name: str = "head.npy") -> Make:
    def make(folder: Path) -> Path:
        np.save(folder / name, array.numpy())
        return folder / name

    return make


def with_value(value: complex) -> Tensor:
    samples = small_kspace()
    samples[0, 1, HEIGHT // 2, WIDTH // 2] = torch.tensor(value)
    return samples


def cut(write: Callable[[Path, Tensor], Path], suffix: str) -> Make:
    def make(folder: Path) -> Path:
        path = write(folder / "head", small_kspace())
        whole = path.with_suffix(suffix).read_bytes()
        path.with_suffix(suffix).write_bytes(whole[: len(whole) * 2 // 3])
        return path

    return make


def claims_too_much(suffix: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"head{suffix}"
        if suffix == ".npy":
            text = "{'descr': '<c8', 'fortran_order': False, 'shape': (64, 99999, 99999), }"
            path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode() + b"\n")
        elif suffix == ".cfl":
            path.with_suffix(".hdr").write_text("# Dimensions\n1 99999 99999 64\n")
            path.write_bytes(b"\0" * 8)
        else:
            shape, chunks = (4000, 64, 1024, 1024), (1, 1, 64, 64)
            with h5py.File(path, "w") as file:
                file.create_dataset("kspace", shape, np.complex64, chunks=chunks)
        return path

    return make


def reaching_outside(trick: str) -> Make:
    def make(folder: Path) -> Path:
        other = write_fastmri(folder / "other", small_kspace())
        shape = tuple(small_kspace().shape)
        with h5py.File(folder / "head.h5", "w") as file:
            if trick == "link":
                file["kspace"] = h5py.ExternalLink(str(other), "/kspace")
            elif trick == "storage":
                where = [(str(other), 0, 8 * small_kspace().numel())]
                file.create_dataset("kspace", shape, np.complex64, external=where)
            else:
                layout = h5py.VirtualLayout(shape, np.complex64)
                layout[:] = h5py.VirtualSource(other, "kspace", shape)
                file.create_virtual_dataset("kspace", layout)
        return folder / "head.h5"

    return make


def plain_text(folder: Path) -> Path:
    (folder / "head.dat").write_text("no k-space at all\n")
    return folder / "head.dat"


RSS = ("--method", "zerofilled", "--combine", "rss")
MASK = ("--mask", "FOLDER/mask.npy")
MAPS = ("--maps", "FOLDER/maps.npy")
OTHER_MASK = ~small_mask().numpy()
ONES = np.ones((3, HEIGHT, WIDTH), np.complex64)

BAD = {
    "NaN": Bad("1 samples that are NaN or infinite", saved(with_value(complex("nan")))),
    "infinite": Bad("1 samples that are NaN or infinite", saved(with_value(complex("inf")))),
    "zero everywhere": Bad("zero everywhere", saved(0 * small_kspace())),
    "no samples": Bad("axis of length 0", saved(small_kspace()[:, :, :0])),
    "magnitudes": Bad("export complex k-space", saved(small_kspace().abs())),
    "two axes": Bad("2 axes", saved(small_kspace()[0, 0])),
    "five axes": Bad("5 axes", saved(small_kspace()[None])),
    "unknown kind": Bad("Known kinds", plain_text),
    "missing file": Bad("nothing.npy does not exist", lambda folder: folder / "nothing.npy"),
    "missing pair": Bad("nothing.hdr does not exist", lambda folder: folder / "nothing.cfl"),
    "folder": Bad("not a regular file", lambda folder: folder),
    "truncated npy": Bad("header claims", cut(lambda p, s: saved(s)(p.parent), ".npy")),
    "truncated cfl": Bad("head.hdr claims", cut(write_bart, ".cfl")),
    "truncated HDF5": Bad("head.h5", cut(write_fastmri, ".h5")),
    "huge npy": Bad("more than the memory budget", claims_too_much(".npy")),
    "more than --budget-gib": Bad(
        "more than the memory budget", saved(small_kspace()), options=("--budget-gib", "1e-6")
    ),
    "huge cfl": Bad("more than the memory budget", claims_too_much(".cfl")),
    "huge HDF5": Bad("more than the memory budget", claims_too_much(".h5")),
    "external link": Bad("refused", reaching_outside("link")),
    "external storage": Bad("refused", reaching_outside("storage")),
    "virtual dataset": Bad("refused", reaching_outside("virtual")),
    "no ACS": Bad(
        "--maps FILE, or reconstruct without maps: --method zerofilled --combine rss",
        saved(small_kspace(calibration=0)),
    ),
    "mask disagrees": Bad("mask disagrees", options=MASK, files={"mask.npy": OTHER_MASK}),
    "mask of another shape": Bad(
        "the mask has shape (5, 7)", options=MASK, files={"mask.npy": np.ones((5, 7))}
    ),
    "missing mask": Bad("mask.npy does not exist", options=MASK),
    "missing maps": Bad("maps.npy does not exist", options=MAPS),
    "maps of another shape": Bad(
        "do not fit k-space", options=MAPS, files={"maps.npy": ONES[:, 1:]}
    ),
    "maps of zeros": Bad("zero everywhere", options=MAPS, files={"maps.npy": 0 * ONES}),
    "maps of magnitudes": Bad("complex", options=MAPS, files={"maps.npy": ONES.real}),
    "maps and fewer coils": Bad(
        "drop one", options=(*MAPS, "--coils", "2"), files={"maps.npy": ONES}
    ),
    "no coils": Bad("must lie in 1..3", options=("--coils", "0")),
    "more coils": Bad("must lie in 1..3", options=("--coils", "4")),
    "no map sets": Bad("sets=0", options=("--map-sets", "0")),
    "more map sets": Bad("allowed: 1 to 3", options=("--map-sets", "4")),
    "rss with cs": Bad("goes with --method zerofilled alone", options=("--combine", "rss")),
    "rss with fewer coils": Bad("leave --coils", options=(*RSS, "--coils", "2")),
    "rss with map sets": Bad("--map-sets out", options=(*RSS, "--map-sets", "2")),
    "rss with maps": Bad("uses no maps", options=(*RSS, *MAPS), files={"maps.npy": ONES}),
    "maps and map sets": Bad(
        "brings its own sets", options=(*MAPS, "--map-sets", "2"), files={"maps.npy": ONES}
    ),
    "lambda of zerofilled": Bad(
        "zerofilled has no weight", options=("--method", "zerofilled", "--lambda", "0.1")
    ),
    "regulariser of cgsense": Bad(
        "cgsense has none", options=("--method", "cgsense", "--regulariser", "tv")
    ),
    "negative lambda": Bad("lambda got -0.1", options=("--lambda", "-0.1")),
    "lambda NaN": Bad("lambda got nan", options=("--lambda", "nan")),
    "case that leaves": Bad("case id '../x' is not a safe name", options=("--case", "../x")),
    "empty case": Bad("case id '' is not a safe name", options=("--case", "")),
    "empty patient": Bad("patient id '' is not a safe name", options=("--patient", "")),
    "study that leaves": Bad("study id '/etc' is not a safe name", options=("--study", "/etc")),
    "reserved case": Bad("uses itself", options=("--case", "current")),
    "name with blanks": Bad("--case NAME", saved(small_kspace(), "my head.npy")),
    "no threads": Bad("--threads must be 1 or more", options=("--threads", "0")),
    "unknown device": Bad("--device must be cpu, cuda or cuda:N", options=("--device", "tpu")),
    "device number": Bad("--device must be cpu, cuda or cuda:N", options=("--device", "cpu:x")),
    "device not here": Bad("--device cuda:99 was asked for", options=("--device", "cuda:99")),
    "negative seed": Bad("--seed must lie in 0..", options=("--seed", "-1")),
    "huge seed": Bad("--seed must lie in 0..", options=("--seed", "9" * 30)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    case: str, tmp_path: Path, program: Program
) -> None:
    answer = program(*BAD[case].words(tmp_path), "--out", tmp_path / "out")

    assert answer.code == 2
    assert BAD[case].says in answer.sentence
    assert answer.out == ""
    assert left_over(tmp_path / "out") == []


@pytest.mark.parametrize("case", ["NaN", "no ACS"])
def test_the_installed_program_says_no_more_than_progress_and_the_sentence(
    case: str,
    tmp_path: Path,
    process: Callable[..., subprocess.Popen[str]],
    finished: Callable[[subprocess.Popen[str]], Answer],
) -> None:
    words = BAD[case].words(tmp_path)

    answer = finished(process(*words, "--out", tmp_path / "out", "--json"))

    assert answer.code == 2
    assert BAD[case].says in answer.sentence
    assert answer.out == ""
    assert left_over(tmp_path / "out") == []


def test_cuda_device_that_is_not_here_is_refused_before_the_input_is_read(
    tmp_path: Path, program: Program
) -> None:
    words = ("mri", "reconstruct", tmp_path / "none.npy", "--out", tmp_path / "out")

    answer = program(*words, "--device", f"cuda:{torch.cuda.device_count()}")

    assert answer.code == 2
    assert "--device cuda" in answer.sentence


@pytest.mark.parametrize("command", ["simulate", "evaluate"])
def test_a_device_that_would_not_be_used_is_no_flag(
    command: str, tmp_path: Path, program: Program
) -> None:
    place = ("--out", tmp_path / "out") if command == "simulate" else (tmp_path,)
    answer = program("mri", command, *place, "--device", "cpu")

    assert answer.code == 2
    assert "--device" in answer.err


def test_a_port_where_something_answers_is_refused(tmp_path: Path, program: Program) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = program("view", "--results", tmp_path, "--port", port)

    assert answer.code == 2
    assert f"port {port} is taken" in answer.sentence


def test_refusal_leaves_what_was_there_untouched(
    scan: Path, tmp_path: Path, program: Program
) -> None:
    words = ("mri", "reconstruct", scan, *RSS, "--out", tmp_path / "out")
    assert program(*words).code == 0
    before = left_over(tmp_path / "out")

    assert program(*words, "--mask", tmp_path / "none.npy").code == 2

    assert left_over(tmp_path / "out") == before


@pytest.mark.parametrize(
    "words",
    [
        ("mri", "reconstruct", "head.npy", "--out", "out", "--method", "magic"),
        ("mri", "reconstruct", "head.npy", "--out", "out", "--lambda", "much"),
        ("mri", "reconstruct", "--out", "out"),
        ("mri", "reconstruct", "head.npy"),
        ("mri", "dream"),
        ("bench", "mil-of-tomorrow"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2(words: tuple[str, ...], program: Program) -> None:
    answer = program(*words)

    assert answer.code == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err


SIMULATIONS = {
    "no scans": (("--scans", "0"), "at least 1 scan"),
    "no size": (("--size", "0"), "a size of 1 to"),
    "absurd size": (("--size", "1000000"), "a size of 1 to"),
    "no slices": (("--slices", "0"), "got slices 0; allowed: at least 1 scan"),
    "no coils": (("--coils", "0"), "got coils 0; allowed: at least 1 scan"),
    "fewer than no lesions": (("--lesions", "-1"), "got lesions -1; allowed"),
    "slower than full": (("--acceleration", "0.5"), "acceleration must be at least 1"),
    "faster than the centre": (("--acceleration", "100"), "reachable: 1 to"),
    "missing tissue": (("--tissue", "none.h5"), "none.h5 does not exist"),
}


@pytest.mark.parametrize("case", SIMULATIONS)
def test_impossible_simulation_gets_one_sentence_and_no_file(
    case: str, tmp_path: Path, program: Program
) -> None:
    options, says = SIMULATIONS[case]
    size = () if "--size" in options else ("--size", "48")

    answer = program("mri", "simulate", "--out", tmp_path / "out", *size, *options)

    assert answer.code == 2
    assert says in answer.sentence
    assert left_over(tmp_path / "out") == []


def test_view_of_a_missing_folder_says_how_to_make_one(tmp_path: Path, program: Program) -> None:
    answer = program("view", "--results", tmp_path / "none")

    assert answer.code == 2
    assert "is no folder of results" in answer.sentence
    assert "medconsist mri reconstruct INPUT --out" in answer.sentence


def test_evaluation_of_a_missing_study_is_refused(tmp_path: Path, program: Program) -> None:
    answer = program("mri", "evaluate", tmp_path, "--study", "none")

    assert answer.code == 2
    assert "is not there" in answer.sentence
