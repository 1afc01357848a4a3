"""Bags by case, of a study and of any file of features; what is wrong is said before training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medconsist._extras import require
from medconsist.errors import (
    CorruptInputError,
    CorruptResultError,
    MissingInputError,
    NoTissueError,
    RefusedInputError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.manifests.cases import CaseRow
from medconsist.wsi.bags.bag import Bag, make_bag
from medconsist.wsi.bags.guarded_hdf5 import Dataset, write_datasets
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.bags.trident import TridentFrame, write_trident
from medconsist.wsi.mil.feature_bags import FeatureBags, Unit, feature_bags
from medconsist.wsi.mil.feature_files import NamedRows
from medconsist.wsi.mil.sources import Classes, StudyBags, cohort_of, study_bags
from tests.wsi.mil.small_study import store_bag

CLASSES = Classes(("normal", "tumour"))


def slide(name: str, tiles: int = 5, *, dim: int = 4) -> Bag:
    return simulated_bag(tiles=tiles, dim=dim, slide=name, seed=len(name) + tiles)


def with_grid(bag: Bag, **changes: object) -> Bag:
    grid = bag.header.grid.model_copy(update=changes)
    header = type(bag.header).model_validate(bag.header.model_dump() | {"grid": grid.model_dump()})
    return make_bag(bag.features, bag.index, header=header)


def row(case: str, *, number: int = 2, **cells: str | None) -> CaseRow:
    said = {"item": f"{case}-s", "patient": f"{case}-p", "label": "normal"} | cells
    return CaseRow.model_validate({"row": number, "path": Path(f"/{case}"), "case": case} | said)


def test_a_case_of_two_slides_is_one_bag_read_where_it_lies(tmp_path: Path) -> None:
    first, second, other = slide("s1", 5), slide("s2", 7), slide("s3", 3)
    store_bag(tmp_path, "c1", first)
    store_bag(tmp_path, "c1", second)
    store_bag(tmp_path, "c2", other, patient="p2")
    source = study_bags(tmp_path, "study")
    assert source.cases == ("c1", "c2")
    assert (source.dim, source.instances(0), source.instances(1)) == (4, 12, 3)
    both = torch.cat([first.features, second.features])
    assert torch.equal(source.rows(0), both)
    assert source.rows(0).dtype == torch.float16
    which = torch.tensor([11, 0, 5])
    assert torch.equal(source.rows(0, which), both[which])
    assert source.patients == {"c1": "p1", "c2": "p2"}


def test_of_two_results_of_a_slide_the_current_one_counts(tmp_path: Path) -> None:
    store_bag(tmp_path, "c1", slide("s1", 5))
    store_bag(tmp_path, "c1", slide("s1", 9), result_version=2)
    assert study_bags(tmp_path, "study").instances(0) == 9


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medconsist.wsi.mil.sources._OPEN", 2)
    for number in range(4):
        store_bag(tmp_path, f"c{number}", slide(f"s{number}", 3 + number))
    source = study_bags(tmp_path, "study")
    for bag in (0, 1, 2, 3, 0):
        assert len(source.rows(bag)) == source.instances(bag) == 3 + bag
        assert len(source._open) <= 2


def test_two_encoders_are_refused(tmp_path: Path) -> None:
    store_bag(tmp_path, "c1", slide("s1"))
    bag = slide("s2")
    encoder = bag.header.encoder.model_copy(update={"sha256": "a" * 64})
    store_bag(
        tmp_path, "c2", replace(bag, header=bag.header.model_copy(update={"encoder": encoder}))
    )
    with pytest.raises(RefusedInputError, match=r"s1 and s2 were embedded by two encoders: random"):
        study_bags(tmp_path, "study")


@pytest.mark.parametrize("change", [{"step_px": 128, "columns": 102}, {"target_mpp": None}])
def test_two_grids_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    bag = slide("s2")
    if "step_px" in change:
        grid = bag.header.grid
        rows = int((grid.height - 256 * grid.scale_y) // (128 * grid.scale_y)) + 1
        columns = int((grid.width - 256 * grid.scale_x) // (128 * grid.scale_x)) + 1
        change = change | {"rows": rows, "columns": columns}
    store_bag(tmp_path, "c1", slide("s1"))
    store_bag(tmp_path, "c2", with_grid(bag, **change))
    with pytest.raises(RefusedInputError, match=r"s1 and s2 were tiled in two ways: tiles of 256"):
        study_bags(tmp_path, "study")


def test_a_case_without_tissue_is_refused_and_an_empty_slide_of_two_is_not(tmp_path: Path) -> None:
    store_bag(tmp_path, "c1", slide("s1", 0))
    with pytest.raises(NoTissueError, match="case c1 has no tile with tissue"):
        study_bags(tmp_path, "study")
    store_bag(tmp_path, "c1", slide("s2", 4))
    assert len(study_bags(tmp_path, "study").rows(0)) == 4


def test_a_changed_byte_is_refused_before_training(tmp_path: Path) -> None:
    key = store_bag(tmp_path, "c1", slide("s1"))
    path = tmp_path / "study" / "c1" / key / "bag.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptResultError, match="not as it was written"):
        study_bags(tmp_path, "study")


def test_a_study_without_features_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="medconsist wsi embed"):
        study_bags(tmp_path, "study")


def two_cases(tmp_path: Path) -> StudyBags:
    store_bag(tmp_path, "c1", slide("s1"), patient="c1-p")
    store_bag(tmp_path, "c2", slide("s2"), patient="c2-p")
    return study_bags(tmp_path, "study")


def test_a_cohort_has_the_labels_of_the_manifest(tmp_path: Path) -> None:
    source = two_cases(tmp_path)
    rows = [row("c2", label="itc", site="x", number=2), row("c1", number=3)]
    cohort = cohort_of(source, rows, Classes(("normal", "tumour"), values={"itc": "tumour"}))
    assert [info.case for info in cohort.infos] == ["c1", "c2"]
    assert cohort.labels.tolist() == [0, 1]
    assert [info.site for info in cohort.infos] == [None, "x"]
    assert torch.equal(cohort.rows(1), source.rows(1))
    assert len(cohort_of(source, [row("c2")], CLASSES)) == 1


ROW_FAULTS: dict[str, tuple[Sequence[CaseRow], type[Exception], str]] = {
    "no label": (
        [row("c1"), row("c2", number=3, label=None)],
        RefusedInputError,
        "row 3, column label: case c2 has no label",
    ),
    "other label": (
        [row("c1", label="tumor")],
        RefusedInputError,
        r"row 2, column label: 'tumor' .* Did you mean 'tumour'",
    ),
    "no bag": (
        [row("c1"), row("c9", number=7)],
        MissingInputError,
        "row 7, column case: case c9 has no features",
    ),
    "other patient": (
        [row("c1", patient="q")],
        RefusedInputError,
        "row 2, column patient: case c1 is of patient q",
    ),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_what_does_not_fit_is_named_by_row(tmp_path: Path, fault: str) -> None:
    rows, error, said = ROW_FAULTS[fault]
    with pytest.raises(error, match=said):
        cohort_of(two_cases(tmp_path), rows, CLASSES)


def test_classes_are_two_or_more_each_once() -> None:
    with pytest.raises(RefusedInputError, match="give two or more classes"):
        Classes(("normal",))
    with pytest.raises(RefusedInputError, match="labels for"):
        Classes(("normal", "tumour"), values={"itc": "cancer"})


# features of other programs

ROWS = [row("c1", item="s1"), row("c1", item="s2", number=3), row("c2", item="s3", number=4)]
TABLE = np.array([[0.5, 1.0], [2.0, 3.0]], np.float32)


def test_a_case_embedding_is_a_bag_of_one_whatever_its_file(tmp_path: Path) -> None:
    pa, parquet = (require(name, extra="wsi") for name in ("pyarrow", "pyarrow.parquet"))
    (tmp_path / "a.csv").write_text("case,f0,f1\nc1,0.5,1\nc2,2,3\n")
    np.savez(tmp_path / "a.npz", names=np.array(["c1", "c2"]), features=TABLE)
    np.savez(tmp_path / "b.npz", c1=TABLE[0], c2=TABLE[1:])
    save_file(
        {"c1": torch.tensor(TABLE[0]), "c2": torch.tensor(TABLE[1:])}, tmp_path / "a.safetensors"
    )
    wide = pa.table({"case": ["c1", "c2"], "f0": TABLE[:, 0], "f1": TABLE[:, 1]})
    parquet.write_table(wide, tmp_path / "a.parquet")
    parquet.write_table(
        pa.table({"case": ["c1", "c2"], "e": TABLE.tolist()}), tmp_path / "b.parquet"
    )
    for path in sorted(tmp_path.iterdir()):
        source = feature_bags(path, ROWS, unit="case")
        assert (source.cases, source.dim, source.instances(0)) == (("c1", "c2"), 2, 1), path
        assert source.rows(1).tolist() == [[2.0, 3.0]], path


def test_slides_are_joined_to_their_case_by_item(tmp_path: Path) -> None:
    path = tmp_path / "slides.csv"
    path.write_text("slide,f0\ns2,2\ns1,1\ns3,3\nunknown,4\n")
    source = feature_bags(path, ROWS, unit="slide")
    assert [source.rows(bag)[:, 0].tolist() for bag in (0, 1)] == [[2.0, 1.0], [3.0]]
    cohort = cohort_of(source, ROWS, CLASSES)
    assert cohort.patients == ("c1-p", "c2-p")


def test_a_folder_of_trident_and_clam_files_gives_tiles(tmp_path: Path) -> None:
    for name, tiles in (("s1", 3), ("s2", 4), ("s3", 2)):
        bag = slide(name, tiles)
        frame = TridentFrame(
            patch_size=256,
            patch_size_level0=512,
            level0_magnification=40,
            target_magnification=20,
            overlap=0,
            name=name,
            savetodir="out",
            level0_width=9000,
            level0_height=7000,
            encoder="uni",
        )
        write_trident(tmp_path / f"{name}.h5", bag, frame)
    source = feature_bags(tmp_path, ROWS, unit="tile")
    assert (source.instances(0), source.instances(1)) == (7, 2)
    assert source.rows(0, torch.tensor([6])).shape == (1, 4)
    one = TABLE[0]
    write_datasets(tmp_path / "s3.h5", {"features": Dataset(one, {"encoder": "titan"})})
    with pytest.raises(RefusedInputError, match=r"several encoders or tilings \(s1: encoder uni"):
        feature_bags(tmp_path, ROWS, unit="tile")
    alone = feature_bags(tmp_path / "s3.h5", ROWS, unit="slide")
    assert alone.rows(0).tolist() == [one.tolist()]


def test_a_foreign_hdf5_goes_through_the_guard(tmp_path: Path) -> None:
    path = tmp_path / "s1.h5"
    with h5py.File(path, "w") as file:
        file["features"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(UnsafeFileError, match="link"):
        feature_bags(path, ROWS, unit="tile")


def test_pickled_content_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, c1=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UnsafeFileError, match="pickled content"):
        feature_bags(path, ROWS, unit="case")


CSV_FAULTS: list[tuple[str, Unit, str]] = [
    ("case,f0\nc1,nan\nc2,1\n", "case", r"features of c1 hold NaN or infinity \(1 values"),
    ("case,f0\nc1,1e99\nc2,1\n", "case", "features of c1 hold NaN or infinity"),
    ("case,f0\nc1,1\nc1,2\n", "case", "case c1 is there 2 times"),
    ("slide,f0\ns1,1\ns1,2\n", "slide", "slide s1 is there 2 times"),
    ("case,f0\nc1,\nc2,1\n", "case", "row 2, column f0: '' is no number"),
    ("case,site\nc1,a\n", "case", "row 2, column site: 'a' is no number"),
    ("case,f0\nc1,1,2\n", "case", "row 2: 3 cells"),
    ("patient,f0\nc1,1\n", "case", "row 1: 0 of the columns case, slide, item, name"),
    ("case,f0\nq,1\n", "case", r"none of its 1 names \(q\) is among the cases"),
    ("case\nc1\n", "case", "the length 0"),
    ("", "case", "0 of the columns"),
]


@pytest.mark.parametrize(("text", "unit", "said"), CSV_FAULTS, ids=[c[2][:25] for c in CSV_FAULTS])
def test_a_faulty_table_is_refused_in_one_sentence(
    tmp_path: Path, text: str, unit: Unit, said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(RefusedInputError, match=said) as caught:
        feature_bags(path, ROWS, unit=unit)
    assert "\n" not in str(caught.value)


def test_rows_of_tiles_are_not_taken_for_slides(tmp_path: Path) -> None:
    save_file({"s1": torch.zeros(3, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(RefusedInputError, match="slide s1 has 3 rows, not one; are they tiles"):
        feature_bags(tmp_path / "a.safetensors", ROWS, unit="slide")
    assert feature_bags(tmp_path / "a.safetensors", ROWS, unit="tile").instances(0) == 3


def test_several_lengths_and_cases_without_rows_are_refused(tmp_path: Path) -> None:
    save_file({"c1": torch.zeros(2), "c2": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(RefusedInputError, match=r"features have 2 lengths: 2 \(c1\), 3 \(c2\)"):
        feature_bags(tmp_path / "a.safetensors", ROWS, unit="case")
    with pytest.raises(NoTissueError, match="case c1 has no row"):
        FeatureBags({"c1": [NamedRows("c1", lambda: torch.zeros(0, 4))]})


def test_an_item_name_of_two_cases_belongs_to_neither(tmp_path: Path) -> None:
    save_file({"s1": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    rows = [row("c1", item="s1"), row("c2", item="s1", number=3)]
    with pytest.raises(RefusedInputError, match="s1 names files of the cases c1, c2"):
        feature_bags(tmp_path / "a.safetensors", rows, unit="tile")


def test_other_kinds_of_files_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"x")
    with pytest.raises(UnsupportedInputError, match=r"read from \.h5"):
        feature_bags(path, ROWS, unit="case")
    with pytest.raises(MissingInputError, match="there are no features"):
        feature_bags(tmp_path / "no.csv", ROWS, unit="case")
    for kind in ("npz", "safetensors", "parquet"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(b"not that at all" * 10)
        with pytest.raises(CorruptInputError, match="cannot be read as"):
            feature_bags(path, ROWS, unit="case")
    save_file({"c1": torch.zeros(2, dtype=torch.int64)}, tmp_path / "i.safetensors")
    with pytest.raises(RefusedInputError, match=r"i\.safetensors: c1 holds I64"):
        feature_bags(tmp_path / "i.safetensors", ROWS, unit="case")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInputError, match=r"no \.h5 file"):
        feature_bags(tmp_path / "empty", ROWS, unit="tile")
