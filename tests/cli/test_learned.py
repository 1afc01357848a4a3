"""Networks from the command line: reconstruct, train, import; and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from medconsist._digests import sha256_of_path
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.learned.model import load_model
from medconsist.results.schema import SIMULATION_TRAINED
from tests.cli.conftest import Program
from tests.cli.small_scan import HEIGHT, WIDTH, left_over, small_kspace, write_small_scan
from tests.mri.tiny_network import TINY, write_network

SMALL = ("--cascades", 1, "--time-steps", 1, "--features", 2, "--steps", 2)
SIMULATED = ("--scans", 1, "--size", 48, "--loss", "l1")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_network(tmp_path / "cirim.safetensors")


def all_calibration(folder: Path) -> Path:
    """Write a scan in which no sample may be withheld."""
    middle = slice(HEIGHT // 2 - 6, HEIGHT // 2 + 6), slice(WIDTH // 2 - 6, WIDTH // 2 + 6)
    np.save(folder / "tiny.npy", small_kspace()[:, :, *middle].numpy())
    return folder / "tiny.npy"


def test_a_network_is_named_with_its_label_and_the_reason_of_the_order(
    scan: Path, weights: Path, tmp_path: Path, program: Program
) -> None:
    words = ("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "cirim")
    asked = (*words, "--weights", weights, "--weights-sha256", sha256_of_path(weights))

    said = json.loads(program(*asked, "--json").out)
    text = program(*asked).out

    assert said["fresh"] is True
    assert said["shown_first"] == "cs"
    assert "was done before; nothing was computed" in text
    assert f"The network cirim is {SIMULATION_TRAINED}" in text
    assert "Shown first: compressed sensing. On the same withheld samples the error of" in text
    assert "withheld_error_cirim" in text
    record = json.loads(Path(said["result"]).read_text())
    assert record["model"]["sha256"] == sha256_of_path(weights)


def test_zero_shot_says_what_it_did_to_the_network(
    scan: Path, weights: Path, tmp_path: Path, program: Program
) -> None:
    answer = program(
        *("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "cirim"),
        *("--weights", weights, "--zero-shot", "--json"),
    )
    assert answer.code == 0, answer.err
    notes = json.loads(answer.out)["notes"]
    assert any(note.startswith("Zero-shot: ") for note in notes)
    assert any("cirim-zero-shot is simulation-trained" in note for note in notes)


def test_trained_weights_reconstruct(scan: Path, tmp_path: Path, program: Program) -> None:
    words = ("mri", "train", "--out", tmp_path / "net", *SMALL, *SIMULATED, "--json")
    answer = program(*words)
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert said["sha256"] == sha256_of_path(Path(said["weights"]))
    assert {"loss", "val_ssim", "val_nmse", "val_psnr"} <= set(said["metrics"])

    again = program(*words, "--resume")

    assert json.loads(again.out) == said
    model = load_model(Path(said["weights"]))
    assert model.simulation_trained
    assert model.network.config == CirimConfig(cascades=1, steps=1, features=2, noise_input=True)
    out = ("--out", tmp_path / "out", "--method", "cirim", "--weights", said["weights"])
    assert program("mri", "reconstruct", scan, *out).code == 0


def test_undersampled_files_train_what_was_begun_before(
    tmp_path: Path, weights: Path, program: Program
) -> None:
    scans = [write_small_scan(tmp_path / f"{seed}.npy", seed=seed) for seed in range(3)]
    answer = program(
        *("mri", "train", "--out", tmp_path / "net", "--start", weights, "--steps", 2),
        *("--freeze", "cascades.0.*", "--ssdu", *scans[:2], "--validation", scans[2]),
    )
    assert answer.code == 0, answer.err
    *scores, sha256, path = answer.out.splitlines()
    assert any(line.startswith("val_nrmse ") for line in scores)
    assert sha256 == f"sha256 {sha256_of_path(Path(path))}"
    begun, done = load_model(weights), load_model(Path(path))
    assert done.about["trained_on"] == "simulation, then undersampled scans"
    assert done.record.label == SIMULATION_TRAINED
    frozen, trained = (
        [
            torch.equal(done.network.state_dict()[name], value)
            for name, value in begun.network.state_dict().items()
            if name.startswith(f"cascades.{cascade}.")
        ]
        for cascade in (0, 1)
    )
    assert all(frozen)
    assert not all(trained)


def test_weights_of_another_program_are_imported(
    scan: Path, tmp_path: Path, program: Program
) -> None:
    network = load_model(write_network(tmp_path / "ours.safetensors")).network
    parts = {
        "conv1": "layers.0.convs.conv_layer",
        "unit1.input": "layers.0.rnn.ih",
        "unit1.recurrent": "layers.0.rnn.hh",
        "conv2": "layers.1.convs.conv_layer",
        "unit2.input": "layers.1.rnn.ih",
        "unit2.recurrent": "layers.1.rnn.hh",
        "out": "final_layer.0.conv_layer",
    }
    foreign = {}
    for name, value in network.state_dict().items():
        _, cascade, rest = name.split(".", 2)
        ours = next(part for part in parts if rest.startswith(part))
        theirs = f"reconstruction_module.{cascade}.{parts[ours]}{rest.removeprefix(ours)}"
        foreign[theirs] = value.contiguous()
    safetensors.torch.save_file(foreign, tmp_path / "theirs.safetensors")
    out = tmp_path / "imported.safetensors"

    answer = program(
        *("mri", "import-weights", tmp_path / "theirs.safetensors", "--from", "atommic"),
        *("--steps", TINY.steps, "--out", out, "--json"),
    )

    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["sha256"] == sha256_of_path(out)
    assert load_model(out).network.config == TINY
    assert load_model(out).record.label == ""


def truncated(folder: Path) -> Path:
    path = write_network(folder / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-40])
    return path


def pickled(folder: Path) -> Path:
    torch.save({"weight": torch.ones(2)}, folder / "net.pt")
    return folder / "net.pt"


def of_another_network(folder: Path) -> Path:
    return write_network(folder / "unet.safetensors", architecture={"network": "resnet"})


def of_another_size(folder: Path) -> Path:
    return write_network(folder / "wide.safetensors", architecture={"features": 8})


def plain(folder: Path) -> Path:
    (folder / "net.safetensors").write_text("no weights at all\n")
    return folder / "net.safetensors"


WEIGHTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "missing": ("neither a file nor shipped", lambda folder: folder / "none.safetensors"),
    "truncated": ("claims", truncated),
    "pickled": ("pickled content", pickled),
    "no weights": ("is not a safetensors file", plain),
    "of another network": ("weights of the network 'resnet'", of_another_network),
    "of another size": ("do not belong to the architecture", of_another_size),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_cannot_be_used_get_one_sentence(
    case: str, scan: Path, tmp_path: Path, program: Program
) -> None:
    says, make = WEIGHTS[case]
    words = ("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "cirim")

    answer = program(*words, "--weights", make(tmp_path))

    assert answer.code == 2
    assert says in answer.sentence
    assert left_over(tmp_path / "out") == []


RECONSTRUCTIONS = {
    "weights of cs": (("--method", "cs", "--weights", "W"), "--weights goes with --method cirim"),
    "zero-shot cs": (("--zero-shot",), "--zero-shot goes with --method cirim alone"),
    "hash of cs": (("--weights-sha256", "0" * 64), "--weights-sha256 goes with"),
    "another hash": (
        ("--method", "cirim", "--weights", "W", "--weights-sha256", "0" * 64),
        "was asked for; pass the file that the record names",
    ),
    "lambda": (
        ("--method", "cirim", "--weights", "W", "--lambda", "0.1"),
        "--lambda 0.1 was given, but cirim has no weight",
    ),
    "regulariser": (
        ("--method", "cirim", "--weights", "W", "--regulariser", "tv"),
        "--regulariser tv was given, but cirim has none",
    ),
    "no name of weights": (("--method", "cirim", "--weights", ""), "is not a regular file"),
    "memory": (("--budget-gib", "nan"), "--budget-gib must be positive and finite"),
    "rss": (
        ("--method", "cirim", "--weights", "W", "--combine", "rss"),
        "goes with --method zerofilled alone",
    ),
}


@pytest.mark.parametrize("case", RECONSTRUCTIONS)
def test_flags_that_do_not_belong_get_one_sentence(
    case: str, scan: Path, weights: Path, tmp_path: Path, program: Program
) -> None:
    options, says = RECONSTRUCTIONS[case]
    named = [str(weights) if option == "W" else option for option in options]

    answer = program("mri", "reconstruct", scan, "--out", tmp_path / "out", *named)

    assert answer.code == 2
    assert says in answer.sentence
    assert left_over(tmp_path / "out") == []


def test_k_space_of_another_kind_is_refused_beside_a_network(
    weights: Path, tmp_path: Path, program: Program
) -> None:
    (tmp_path / "head.xyz").write_text("no k-space at all\n")
    words = ("mri", "reconstruct", tmp_path / "head.xyz", "--out", tmp_path / "out")

    answer = program(*words, "--method", "cirim", "--weights", weights)

    assert answer.code == 2
    assert "Known kinds" in answer.sentence


def test_zero_shot_needs_samples_to_withhold(
    weights: Path, tmp_path: Path, program: Program
) -> None:
    words = ("mri", "reconstruct", all_calibration(tmp_path), "--out", tmp_path / "out")

    answer = program(*words, "--method", "cirim", "--weights", weights, "--zero-shot")

    assert answer.code == 2
    assert "nothing can be withheld" in answer.sentence
    assert left_over(tmp_path / "out") == []


def test_a_frame_of_a_file_with_one_is_a_result_of_its_own(
    scan: Path, tmp_path: Path, program: Program
) -> None:
    words = ("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "zerofilled")
    answer = program(*words, "--frame", 7)
    assert answer.code == 2
    assert "frame" in answer.sentence


TRAININGS = {
    "all frozen": (("--freeze", "*", *SIMULATED, *SMALL), "gradient"),
    "nothing fits": (("--freeze", "cascade7", *SIMULATED, *SMALL), "fits no parameter"),
    "architecture twice": (("--start", "W", "--features", 4), "--start brings its own"),
    "unknown loss": (("--loss", "l7", *SMALL), "--loss got 'l7'; allowed without --ssdu: l1"),
    "loss of SSDU": (("--loss", "ssdu", *SMALL), "allowed without --ssdu"),
    "validation alone": (("--validation", "S"), "--validation goes with --ssdu alone"),
    "nothing to withhold": (("--ssdu", "C", *SMALL), "nothing can be withheld"),
    "device number": (("--device", "cuda:99"), "--device cuda:99"),
    "no steps": (("--steps", 0), "steps got 0"),
    "no features": (("--features", 0), "'features': 0"),
    "no scans": (("--scans", 0, "--size", 48), "got 0 scans"),
}


@pytest.mark.parametrize("case", TRAININGS)
def test_training_that_cannot_be_done_gets_one_sentence_and_no_weights(
    case: str, scan: Path, weights: Path, tmp_path: Path, program: Program
) -> None:
    options, says = TRAININGS[case]
    files = {"W": weights, "S": scan, "C": all_calibration(tmp_path)}
    named = [files.get(str(option), option) for option in options]

    answer = program("mri", "train", "--out", tmp_path / "net", *named)

    assert answer.code == 2
    assert says in answer.sentence
    assert not list((tmp_path / "net").rglob("weights.safetensors"))


def test_without_lightning_training_says_what_to_install(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)

    answer = program("mri", "train", "--out", tmp_path / "net", *SMALL, *SIMULATED)

    assert answer.code == 2
    assert "medconsist[train]" in answer.sentence
