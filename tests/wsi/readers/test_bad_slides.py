"""The corpus of bad slides: the right reason, bounded time and memory, never a wrong tile."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORPUS = Path(__file__).with_name("bad_slides.py")
MAX_SECONDS = 5.0  # a case takes 0.2 s at most on an idle core; others share this one
MAX_GROWN_MB = 200.0
REAL = {
    "real": "CMU-1-Small-Region.svs",
    "boxes": "openslide_boxes.tiff",
    "dcm": "openslide_boxes_0.dcm",
    "ndpi": "test3-DAPI-2-387.ndpi",
    "small": "openslide_small.svs",
    "unreadable": "openslide_unreadable.svs",
    "unopenable": "openslide_unopenable.tiff",
}


def corpus(folder: Path, slides: dict[str, Path]) -> list[dict[str, Any]]:
    """Read the whole corpus in one process of its own; a crash there fails the test."""
    named = [f"{name}={path}" for name, path in slides.items()]
    done = subprocess.run(
        [sys.executable, str(CORPUS), str(folder), *named],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(outcomes: list[dict[str, Any]]) -> None:
    wrong = [one for one in outcomes if one["seen"] not in one["allowed"]]
    assert not wrong, f"{len(wrong)} of {len(outcomes)}: {wrong[:5]}"
    assert max(one["seconds"] for one in outcomes) < MAX_SECONDS
    assert sum(one["grown_mb"] for one in outcomes) < MAX_GROWN_MB


@pytest.fixture(scope="module")
def simulated(
    small_slides: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    slides = {name: small_slides[name] for name in ("svs", "tiff", "silent")}
    return corpus(tmp_path_factory.mktemp("bad"), slides)


def test_every_bad_simulated_slide_gets_its_reason_in_bounded_time_and_memory(
    simulated: list[dict[str, Any]],
) -> None:
    judge(simulated)
    assert len(simulated) > 1000


@pytest.mark.data
def test_every_bad_real_slide_gets_its_reason_in_bounded_time_and_memory(
    data_dir: Path, tmp_path: Path
) -> None:
    slides = {name: data_dir / "wsi" / file for name, file in REAL.items()}
    outcomes = corpus(tmp_path, slides)
    judge(outcomes)
    assert len(outcomes) > 500


def test_a_cut_slide_is_never_called_one_without_mpp(simulated: list[dict[str, Any]]) -> None:
    cut = Counter(one["seen"] for one in simulated if one["kind"] == "cut")
    assert set(cut) == {"corrupt"}


def test_the_corpus_reaches_every_reason(simulated: list[dict[str, Any]]) -> None:
    seen = {one["seen"] for one in simulated}
    assert seen == {"ok", "corrupt", "unsupported", "no mpp"}


def test_the_direct_engine_reads_part_of_the_corpus(simulated: list[dict[str, Any]]) -> None:
    assert {one["engine"] for one in simulated if one["seen"] == "ok"} >= {"direct", "openslide"}
