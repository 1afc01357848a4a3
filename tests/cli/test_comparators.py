"""Comparators from the command line: trained, then asked for an image."""

import json
from pathlib import Path

import pytest

from medconsist.mri.learned.model import load_model
from tests.cli.conftest import Program

TINY = ("--features", 2, "--steps", 2, "--scans", 1, "--size", 48, "--loss", "l1")


@pytest.mark.parametrize(
    "network",
    [
        ("lpdnet", "--network-size", "released", "--cascades", 2),
        ("varnet", "--cascades", 1, "--coil-maps", "learnt"),
    ],
)
def test_trained_weights_reconstruct(
    network: tuple[object, ...], scan: Path, tmp_path: Path, program: Program
) -> None:
    answer = program(
        *("mri", "train", "--out", tmp_path / "net", "--network", *network, *TINY, "--json")
    )
    assert answer.code == 0, answer.err
    weights = Path(json.loads(answer.out)["weights"])
    assert load_model(weights).network.config.kind == network[0]

    answer = program(
        *("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "network"),
        *("--weights", weights, "--json"),
    )
    assert answer.code == 0, answer.err
    record = json.loads(Path(json.loads(answer.out)["result"]).read_text())
    assert record["model"]["trained_on"] == "simulation"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--network", "unet", "--time-steps", 8), "--time-steps cannot be set with"),
        (("--network-size", "small"), "--network-size goes with --network unet"),
        (("--network", "kikinet", "--consistency", "varnet"), "allowed with --network kikinet"),
        (
            ("--network", "kikinet", "--consistency", "weighted"),
            "--consistency got 'weighted'; allowed with --network kikinet: interleaved, released,",
        ),
        (
            ("--network", "unet", "--consistency", "weighted"),
            "--consistency cannot be set with --network unet",
        ),
        (
            ("--network", "lpdnet", "--consistency", "weighted"),
            "--consistency cannot be set with --network lpdnet",
        ),
        (("--start", "rim", "--network", "unet"), "--start brings its own architecture"),
    ],
)
def test_flags_that_do_not_apply_get_one_sentence(
    options: tuple[object, ...], says: str, tmp_path: Path, program: Program
) -> None:
    answer = program("mri", "train", "--out", tmp_path / "net", *options)
    assert answer.code == 2
    assert says in answer.sentence
    assert not (tmp_path / "net").exists()
