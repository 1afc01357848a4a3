"""Poisoned slides and scans among sound ones, from the command line: each has its class."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.small_scan import write_small_scan
from tests.wsi.small_slide import write_small_slide

SIDE = 512  # of a slide [px]: one tile or a few
MEMORY = 4 * 2**20  # bytes that a poisoned scan claims; the budget is a quarter


def answer_of(*words: object) -> tuple[int, dict[str, Any]]:
    """Run the program, and return its exit code and its JSON."""
    command = [sys.executable, "-m", "medconsist", *map(str, words), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return done.returncode, json.loads(done.stdout)


def sound_slides(folder: Path, count: int) -> list[Path]:
    return [
        write_small_slide(folder / f"sound-{number:03d}.svs", seed=number, width=SIDE, height=SIDE)
        for number in range(count)
    ]


def poisoned_slides(folder: Path) -> dict[Path, str]:
    """Write two slides of each class that a slide alone can have, and return their classes."""
    classes = dict[Path, str]()
    for number in range(2):
        whole = write_small_slide(folder / f"cut-{number}.svs", seed=number)
        whole.write_bytes(whole.read_bytes()[: 5000 + number])
        classes[whole] = "corrupt"
        silent = folder / f"silent-{number}.tiff"
        classes[write_small_slide(silent, mpp=None, seed=number)] = "no mpp"
        glass = folder / f"glass-{number}.svs"
        classes[write_small_slide(glass, tissue=0, seed=number)] = "no tissue"
        photo = folder / f"photo-{number}.svs"
        Image.new("RGB", (64, 64), (number, 0, 0)).save(photo, format="PNG")
        classes[photo] = "unsupported"
        classes[folder / f"gone-{number}.svs"] = "failed"  # never copied
    return classes


def embedded(inputs: Sequence[Path], out: Path) -> tuple[int, dict[str, Any]]:
    words = ("--out", out, "--engine", "local", "--workers", 2)
    return answer_of("wsi", "embed", *inputs, *words)


def assert_each_has_its_class(
    code: int, said: dict[str, Any], *, sound: int, poisoned: dict[Path, str]
) -> None:
    stems = {path.stem: reason for path, reason in poisoned.items()}
    found = {one["case"].rsplit("-", 1)[0]: one["reason"] for one in said["failures"]}
    assert code == 3
    assert said["counts"] == {
        "done": sound,
        "found": 0,
        "failed": 0,
        "quarantined": len(poisoned),
        "pending": 0,
    }
    assert found == stems


@pytest.mark.parametrize("sound", [2, pytest.param(190, marks=pytest.mark.slow)])
def test_ten_poisoned_slides_have_their_class_and_the_others_complete(
    sound: int, tmp_path: Path
) -> None:
    poisoned = poisoned_slides(tmp_path)
    slides = [*sound_slides(tmp_path, sound), *poisoned]
    code, said = embedded(slides, tmp_path / "out")
    assert_each_has_its_class(code, said, sound=sound, poisoned=poisoned)


def poisoned_scans(folder: Path) -> dict[Path, str]:
    """Write two scans of each class that a scan alone can have, and return their classes."""
    classes = dict[Path, str]()
    for number in range(2):
        cut = write_small_scan(folder / f"cut-{number}.npy", seed=number)
        cut.write_bytes(cut.read_bytes()[: 5000 + number])
        classes[cut] = "corrupt"
        huge = folder / f"huge-{number}.npy"
        np.lib.format.open_memmap(
            huge, mode="w+", dtype=np.complex64, shape=(1, 2, 512, MEMORY // 8 // 1024)
        ).flush()
        classes[huge] = "out of memory"
        note = folder / f"note-{number}.txt"
        note.write_text("no scan")
        classes[note] = "unsupported"
        classes[folder / f"gone-{number}.npy"] = "failed"  # never copied
    return classes


def test_poisoned_scans_have_their_class_and_the_others_complete(tmp_path: Path) -> None:
    sound = [write_small_scan(tmp_path / f"sound-{n}.npy", seed=n) for n in range(4)]
    poisoned = poisoned_scans(tmp_path)
    words = ("--method", "zerofilled", "--budget-gib", MEMORY / 4 / 2**30, "--engine", "local")
    code, said = answer_of(
        "mri", "reconstruct", *sound, *poisoned, "--out", tmp_path / "out", *words
    )
    assert_each_has_its_class(code, said, sound=len(sound), poisoned=poisoned)
