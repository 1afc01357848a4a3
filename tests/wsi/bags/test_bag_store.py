"""The slides of a case are found by their results and joined without a copy."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.results.schema import ModelRecord, Result, ResultFields, Times
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import write_bag
from medconsist.wsi.bags.bag_store import CaseBag, bags_of, case_bag
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.simulate import simulated_bag

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def fields_of(bag: Bag, *, weights: str, patient: str) -> ResultFields:
    return ResultFields(
        kind="wsi.bag",
        patient=patient,
        item=bag.header.slide,
        inputs={"slide": bag.header.slide.encode().hex().ljust(64, "0")},
        config={"task": "wsi.bag"},
        model=ModelRecord(name="random", sha256=weights * 64),
        result_version=1,
        times=Times(started=NOW, finished=NOW),
    )


def store_bag(
    root: Path, case: str, bag: Bag, *, weights: str = "e", patient: str = "patient-1"
) -> Result:
    fields = fields_of(bag, weights=weights, patient=patient)
    with ResultStore(root, "study").draft(case, fields.key) as draft:
        draft.add_file(
            "bag",
            "bag.safetensors",
            lambda path: write_bag(path, bag),
            axes=("tiles", "features"),
            shape=tuple(bag.features.shape),
            dtype="float16",
        )
        return draft.finish(fields)


def test_bags_are_found_by_case_and_slide_and_opened_when_used(tmp_path: Path) -> None:
    bags = [simulated_bag(tiles=n, dim=4, slide=f"slide-{n}", seed=n) for n in (9, 5, 7)]
    store_bag(tmp_path, "case-2", bags[0], patient="patient-2")
    store_bag(tmp_path, "case-1", bags[2])
    store_bag(tmp_path, "case-1", bags[1])

    entries = bags_of(tmp_path, "study")

    seen = [(one.patient, one.case, one.slide, one.shape) for one in entries]
    assert seen == [
        ("patient-1", "case-1", "slide-5", (5, 4)),
        ("patient-1", "case-1", "slide-7", (7, 4)),
        ("patient-2", "case-2", "slide-9", (9, 4)),
    ]
    assert torch.equal(entries[0].open().features, bags[1].features)
    joined = case_bag(entries[:2])
    assert joined.offsets.tolist() == [0, 5, 12]
    wanted = torch.cat([bags[1].features, bags[2].features])
    order = torch.tensor([11, 0, 4, 5, 5])
    assert torch.equal(joined.rows(order), wanted[order])
    assert joined.place_of(5) == (1, 0)


def test_a_result_may_take_its_bag_from_a_writer_that_was_killed_before(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=9, dim=4)
    fields = fields_of(bag, weights="e", patient="patient-1")
    case = tmp_path / "study" / "case-1"
    plan = BagPlan(bag.header, bag.index, dim=4)
    with BagWriter(case, plan, block_tiles=4) as killed:
        killed.append(bag.features[:4])

    with BagWriter(case, plan) as writer:
        writer.append(bag.features[writer.done :])
        with ResultStore(tmp_path, "study").draft("case-1", fields.key) as draft:
            draft.add_file(
                "bag",
                "bag.safetensors",
                writer.finish,
                axes=("tiles", "features"),
                shape=(9, 4),
                dtype="float16",
            )
            draft.finish(fields)
        writer.discard()

    (entry,) = bags_of(tmp_path, "study")
    assert torch.equal(entry.open().features, bag.features)
    assert [path.name for path in case.iterdir()] == [fields.key]


def test_joining_copies_no_feature(tmp_path: Path) -> None:
    for n in (5, 7):
        store_bag(tmp_path, "case-1", simulated_bag(tiles=n, dim=4, slide=f"slide-{n}"))
    opened = [entry.open(verify=False) for entry in bags_of(tmp_path, "study")]
    joined = CaseBag(tuple(opened))
    for mine, theirs in zip(joined.bags, opened, strict=True):
        assert mine.features.data_ptr() == theirs.features.data_ptr()


def test_one_encoder_is_chosen_and_two_are_refused(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=5, dim=4)
    wider = simulated_bag(tiles=5, dim=6, slide="slide-2")
    store_bag(tmp_path, "case-1", bag, weights="e")
    store_bag(tmp_path, "case-1", wider, weights="f")

    with pytest.raises(RefusedInputError, match=r"of the encoders \['random \(4\)', 'random \(6\)"):
        case_bag(bags_of(tmp_path, "study"))
    assert len(bags_of(tmp_path, "study", encoder_sha256="e" * 64)) == 1


def test_a_slide_twice_and_two_cases_are_refused(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=5, dim=4)
    store_bag(tmp_path, "case-1", bag, weights="e")
    store_bag(tmp_path, "case-1", bag, weights="f")
    store_bag(tmp_path, "case-2", bag)
    entries = bags_of(tmp_path, "study")
    with pytest.raises(RefusedInputError, match="different slides of one encoder"):
        case_bag(entries[:2])
    with pytest.raises(RefusedInputError, match="patient-1/case-1, patient-1/case-2"):
        case_bag(entries)
    with pytest.raises(MissingInputError, match="no bag to join"):
        case_bag([])


def test_results_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    fields = fields_of(simulated_bag(tiles=5, dim=4), weights="e", patient="patient-1")
    with ResultStore(tmp_path, "study").draft("case-1", fields.key) as draft:
        draft.add_array("heat_map", torch.ones(2, 2).numpy(), axes=("height", "width"))
        draft.finish(fields)
    assert bags_of(tmp_path, "study") == []


def test_an_altered_bag_is_not_opened(tmp_path: Path) -> None:
    store_bag(tmp_path, "case-1", simulated_bag(tiles=5, dim=4))
    (entry,) = bags_of(tmp_path, "study")
    entry.path.chmod(0o644)
    data = bytearray(entry.path.read_bytes())
    data[-1] ^= 1
    entry.path.write_bytes(bytes(data))
    with pytest.raises(CorruptResultError, match="is not as it was written"):
        entry.open()


@pytest.mark.parametrize("tile", [-1, 12])
def test_a_tile_outside_the_case_is_refused(tile: int) -> None:
    bags = [simulated_bag(tiles=n, dim=4, slide=f"slide-{n}") for n in (5, 7)]
    case = CaseBag(tuple(bags))
    with pytest.raises(RefusedInputError, match="allowed are 0 to 11"):
        case.rows(torch.tensor([0, tile]))
