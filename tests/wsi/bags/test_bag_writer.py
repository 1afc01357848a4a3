"""A bag that is written by blocks: killed, resumed, taken over, it is the same to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medconsist.errors import (
    CorruptResultError,
    NoTissueError,
    RefusedInputError,
    ShapeError,
)
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import read_bag, write_bag
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.simulate import simulated_bag

HERE = Path(__file__).parent
BAG = simulated_bag(tiles=23, dim=6)


def plan_of(bag: Bag = BAG) -> BagPlan:
    return BagPlan(bag.header, bag.index, dim=bag.dim)


def undisturbed(folder: Path) -> bytes:
    write_bag(folder / "calm.safetensors", BAG)
    return (folder / "calm.safetensors").read_bytes()


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    limits = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=limits
    )


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stops=st.lists(st.integers(0, 23), max_size=3).map(sorted),
    batch=st.integers(1, 9),
    block=st.integers(1, 9),
)
def test_a_resumed_bag_equals_an_undisturbed_one_bit_for_bit(
    stops: list[int], batch: int, block: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    for stop in [*stops, 23]:
        with BagWriter(tmp_path, plan_of(), block_tiles=block) as writer:
            while writer.done < stop:
                end = min(stop, writer.done + batch)
                writer.append(BAG.features[writer.done : end])
            if stop == 23:
                writer.finish(path)
                writer.discard()
                break
    assert path.read_bytes() == undisturbed(tmp_path)
    assert not list(tmp_path.glob(".*"))


def interrupt_after_eight_tiles(folder: Path) -> None:
    with BagWriter(folder, plan_of(), block_tiles=5) as writer:
        writer.append(BAG.features[:5])
        writer.append(BAG.features[5:8])
        assert writer.done == 8
        msg = "now"
        raise KeyboardInterrupt(msg)


def test_what_was_not_synced_is_lost_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="now"):
        interrupt_after_eight_tiles(tmp_path)
    with BagWriter(tmp_path, plan_of()) as again:
        assert again.done == 5


@pytest.mark.parametrize(
    ("name", "spoil", "kept"),
    [
        ("features.part", lambda data: data[:-1], 10),
        ("features.part", lambda data: data[:3] + b"\xff" + data[4:], 0),
        ("features.part", lambda data: data + b"half a block", 15),
        ("features.part", lambda _: b"", 0),
        ("journal.jsonl", lambda data: data[:-20], 10),
        ("journal.jsonl", lambda data: data + b'{"first":15,"ti', 15),
        ("journal.jsonl", lambda data: data + b'{"first":3,"sha256":"","tiles":1}\n', 15),
        ("journal.jsonl", lambda data: data + b'{"first":15,"sha256":"","tiles":9e30}\n', 15),
        ("journal.jsonl", lambda data: data + b"[" * 90_000, 15),
        ("journal.jsonl", lambda _: b"\xff\xfe", 0),
    ],
    ids=[
        "cut",
        "rot",
        "torn block",
        "gone",
        "torn line",
        "half line",
        "order",
        "huge",
        "deep",
        "noise",
    ],
)
def test_the_writer_goes_on_behind_the_last_sound_block(
    name: str, spoil: object, kept: int, tmp_path: Path
) -> None:
    assert callable(spoil)
    with BagWriter(tmp_path, plan_of(), block_tiles=5) as writer:
        for at in (0, 5, 10):
            writer.append(BAG.features[at : at + 5])
        file = writer.path / name
    file.write_bytes(spoil(file.read_bytes()))
    with BagWriter(tmp_path, plan_of()) as again:
        assert again.done == kept
        again.append(BAG.features[kept:])
        again.finish(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == undisturbed(tmp_path)


def other_plans() -> list[BagPlan]:
    header, encoder, grid = BAG.header, BAG.header.encoder, BAG.header.grid
    changes: list[dict[str, object]] = [
        {"slide_sha256": "6" * 64},
        {"encoder": encoder.model_copy(update={"sha256": "f" * 64})},
        {"grid": grid.model_copy(update={"origin_x": 99.0})},
        {"code_version": "0.2.0"},
    ]
    headers = [header.model_copy(update=change) for change in changes]
    plans = [BagPlan(one, BAG.index, dim=6) for one in headers]
    return [*plans, BagPlan(header, BAG.index.flip(0), dim=6), BagPlan(header, BAG.index, dim=7)]


@pytest.mark.parametrize(
    "number", range(6), ids=["slide", "encoder", "grid", "code", "order", "dim"]
)
def test_parts_of_another_key_are_left_alone(number: int, tmp_path: Path) -> None:
    with BagWriter(tmp_path, plan_of()) as writer:
        writer.append(BAG.features[:9])
    with BagWriter(tmp_path, other_plans()[number]) as other:
        assert other.done == 0
    with BagWriter(tmp_path, plan_of()) as again:
        assert again.done == 9


def test_a_second_writer_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    with BagWriter(tmp_path, plan_of(), block_tiles=4) as first:
        first.append(BAG.features[:4])
        with pytest.raises(RefusedInputError, match="Another process writes this bag"):
            BagWriter(tmp_path, plan_of())
    with BagWriter(tmp_path, plan_of()) as second:
        assert second.done == 4


def test_a_writer_that_found_the_folder_removed_makes_a_new_one(tmp_path: Path) -> None:
    first = BagWriter(tmp_path, plan_of())
    first.append(BAG.features[:4])
    first.discard()
    with BagWriter(tmp_path, plan_of()) as second:
        assert second.done == 0
    with pytest.raises(RefusedInputError, match="is closed"):
        first.append(BAG.features[:4])


def test_kill_nine_leaves_no_bag_or_a_whole_one_and_a_rerun_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    kills = 12
    done = run("kill_loop.py", tmp_path, kills, 20221111)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["landed"] == kills
    assert counts["torn"] == 0
    assert counts["whole"] + counts["none"] == counts["tries"]
    assert counts["resumed"] > 0
    assert counts["same"] == counts["files"] == counts["tries"]


@pytest.mark.parametrize(
    ("limit", "dim", "named", "kept"),
    [
        (4_000, 64, "features.part", 30),
        (13_500, 64, "bag.safetensors", 100),
        (300, 1, "journal.jsonl", 30),
    ],
    ids=["block", "bag", "journal"],
)
def test_a_full_disk_ends_with_exit_code_1_and_the_blocks_stay(
    limit: int, dim: int, named: str, kept: int, tmp_path: Path
) -> None:
    done = run("small_disk.py", tmp_path, limit, dim)
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert named in done.stderr
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".bag-")] == []
    bag = simulated_bag(tiles=100, dim=dim)
    with BagWriter(tmp_path, plan_of(bag)) as writer:
        assert writer.done == kept
        writer.append(bag.features[writer.done :])
        writer.finish(tmp_path / "bag.safetensors")
    assert torch.equal(read_bag(tmp_path / "bag.safetensors").features, bag.features)


def test_a_bag_is_written_and_put_together_in_bounded_memory(tmp_path: Path) -> None:
    done = run("writer_memory.py", tmp_path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["bag_mib"] > 75
    assert seen["grown_mib"] < 25, seen  # a few copies of a block of 4 MiB


def test_missing_and_surplus_tiles_are_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path, plan_of()) as writer:
        writer.append(BAG.features[:9])
        with pytest.raises(RefusedInputError, match="9 of 23 tiles are there"):
            writer.finish(tmp_path / "a.safetensors")
        with pytest.raises(ShapeError, match="planned are 23 tiles of 6"):
            writer.append(BAG.features[:15])
        with pytest.raises(ShapeError, match="planned are 23 tiles of 6"):
            writer.append(torch.ones(1, 7))
        assert writer.done == 9


def test_a_feature_that_does_not_fit_is_refused_with_its_tile_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    with BagWriter(tmp_path, plan_of()) as writer:
        writer.append(BAG.features[:9])
        bad = BAG.features[9:12].float()
        bad[1, 4] = 1e6
        with pytest.raises(RefusedInputError, match="tile 10, feature 4"):
            writer.append(bad)
        assert writer.done == 9


def test_a_buffer_may_be_used_again_after_append(tmp_path: Path) -> None:
    buffer = torch.empty(1, 6, dtype=torch.float16)
    with BagWriter(tmp_path, plan_of()) as writer:
        for tile in range(23):
            buffer.copy_(BAG.features[tile : tile + 1])
            writer.append(buffer)
        writer.finish(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == undisturbed(tmp_path)


def test_a_block_that_rots_before_the_end_is_found(tmp_path: Path) -> None:
    with BagWriter(tmp_path, plan_of(), block_tiles=5) as writer:
        for at in range(0, 23, 5):
            writer.append(BAG.features[at : at + 5])
        part = writer.path / "features.part"
        data = bytearray(part.read_bytes())
        data[100] ^= 1
        part.write_bytes(bytes(data))
        with pytest.raises(CorruptResultError, match="at tile 5"):
            writer.finish(tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_a_plan_without_tiles_is_no_tissue() -> None:
    with pytest.raises(NoTissueError, match="No tile of slide-1"):
        BagPlan(BAG.header, BAG.index[:0], dim=6)


@pytest.mark.parametrize("block", [0, -1])
def test_a_block_has_a_tile_at_least(block: int, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="block_tiles is 1 or more"):
        BagWriter(tmp_path, plan_of(), block_tiles=block)
