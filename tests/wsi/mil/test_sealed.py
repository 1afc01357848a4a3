"""The labels of the test set are out of reach until asked for, and that is written down."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medconsist.errors import CorruptResultError, RefusedInputError, StorageError
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.manifests.split import make_split, write_split
from medconsist.manifests.split_record import SplitPlan
from medconsist.wsi.mil.feature_bags import FeatureBags
from medconsist.wsi.mil.feature_files import NamedRows
from medconsist.wsi.mil.sealed import SealedParts, openings_of, sealed_parts
from medconsist.wsi.mil.sources import Classes

CLASSES = Classes(("normal", "tumour"))
WEIGHTS, OTHERS = "a" * 64, "b" * 64
Sealed = Callable[..., SealedParts]


def manifest_of(n: int, **changes: str | None) -> CaseManifest:
    rows = [
        CaseRow(
            row=i + 2,
            path=Path(f"/{i}"),
            item=f"s{i}",
            case=f"c{i}",
            patient=f"p{i}",
            label=("normal", "tumour")[i % 2],
        )
        for i in range(n)
    ]
    rows[-1] = rows[-1].model_copy(update=changes)
    return CaseManifest(rows=tuple(rows), path=Path("m.csv"), sha256="0" * 64)


def source_of(n: int) -> FeatureBags:
    def named(i: int) -> NamedRows:
        return NamedRows(f"c{i}", lambda: torch.full((i + 1, 3), float(i)))

    return FeatureBags({f"c{i}": [named(i)] for i in range(n)})


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    def make(**plan: object) -> SealedParts:
        path = tmp_path / "split.json"
        if not path.exists():
            write_split(make_split(manifest_of(20), SplitPlan.model_validate(plan)), path)
        return sealed_parts(source_of(20), manifest_of(20), split=path, classes=CLASSES)

    return make


def test_the_labels_of_the_test_cannot_be_read_before(sealed: Sealed) -> None:
    """V1 of the spec."""
    parts = sealed()
    assert parts.validation is not None
    assert set(parts.train.labels.tolist()) == {0, 1}
    assert len(parts.validation.labels) == len(parts.validation)
    assert all(info.label is None for info in parts.test.infos)
    with pytest.raises(RefusedInputError, match="sealed as part of the test set"):
        _ = parts.test.labels
    with pytest.raises(RefusedInputError, match="medconsist wsi evaluate --final"):
        parts.unseal(final=False, model_sha256=WEIGHTS, who="an")
    assert not parts.log.exists()
    assert list(parts.by_name) == ["train", "validation", "test"]
    assert parts.test.rows(0).shape[1] == 3  # features are there: predictions may be made


def test_an_opening_is_written_and_then_gives_the_labels(sealed: Sealed) -> None:
    parts = sealed()
    opened = parts.unseal(final=True, model_sha256=WEIGHTS, who="an")
    wanted = [int(info.case.removeprefix("c")) % 2 for info in opened.test.infos]
    assert opened.test.labels.tolist() == wanted
    assert [info.case for info in opened.test.infos] == [info.case for info in parts.test.infos]
    assert opened.sentence == ("The test set has been opened 1 time: these are its first numbers.")
    (line,) = openings_of(parts.log)
    assert (line.who, line.model_sha256, line.number) == ("an", WEIGHTS, 1)
    assert line.split_sha256 == parts.split.sha256


def test_a_second_opening_is_counted_and_other_weights_are_flagged(sealed: Sealed) -> None:
    parts = sealed()
    parts.unseal(final=True, model_sha256=WEIGHTS, who="an")
    again = parts.unseal(final=True, model_sha256=WEIGHTS, who="an")
    assert (again.times, again.models) == (2, 1)
    assert again.sentence.endswith("2 times, for the same weights.")
    other = parts.unseal(final=True, model_sha256=OTHERS, who="job 7")
    assert (other.times, other.models) == (3, 2)
    assert "opened 3 times, for 2 different weights" in other.sentence
    assert [line.number for line in openings_of(parts.log)] == [1, 2, 3]


def test_the_rounds_of_a_cross_validation_are_tests_of_their_own(
    sealed: Sealed, tmp_path: Path
) -> None:
    sealed(folds=4).unseal(final=True, model_sha256=WEIGHTS, who="an")
    path = tmp_path / "split.json"
    second = sealed_parts(source_of(20), manifest_of(20), split=path, classes=CLASSES, number=1)
    assert second.unseal(final=True, model_sha256=OTHERS, who="an").times == 1
    with pytest.raises(RefusedInputError, match="there is no round 4"):
        sealed_parts(source_of(20), manifest_of(20), split=path, classes=CLASSES, number=4)


@pytest.mark.parametrize("cut", [0, 1], ids=["a line is gone", "a line is changed"])
def test_an_altered_record_of_openings_seals_for_good(sealed: Sealed, cut: int) -> None:
    parts = sealed()
    for who in ("an", "bo", "cy"):
        parts.unseal(final=True, model_sha256=WEIGHTS, who=who)
    lines = parts.log.read_text().splitlines()
    lines[1:2] = [] if not cut else [lines[1].replace("bo", "xx")]
    parts.log.write_text("\n".join([*lines, ""]))
    with pytest.raises(CorruptResultError, match="record of openings was altered"):
        parts.unseal(final=True, model_sha256=OTHERS, who="an")
    with pytest.raises(CorruptResultError, match="does not follow the line before"):
        openings_of(parts.log)


def test_labels_stay_sealed_where_the_opening_cannot_be_written(sealed: Sealed) -> None:
    parts = sealed()
    parts.log.mkdir()
    with pytest.raises(StorageError, match="Could not write"):
        parts.unseal(final=True, model_sha256=WEIGHTS, who="an")


def test_nobody_and_no_weights_are_refused_and_nothing_is_written(sealed: Sealed) -> None:
    parts = sealed()
    with pytest.raises(RefusedInputError, match="no result key"):
        parts.unseal(final=True, model_sha256="abc", who="an")
    with pytest.raises(RefusedInputError, match="'who' is not allowed"):
        parts.unseal(final=True, model_sha256=WEIGHTS, who="")
    assert openings_of(parts.log) == ()


def test_a_manifest_that_changed_since_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    sealed()
    changed = manifest_of(20, label="normal")
    with pytest.raises(RefusedInputError, match=r"has changed since .* \(c19\)"):
        sealed_parts(source_of(20), changed, split=tmp_path / "split.json", classes=CLASSES)


def test_labels_of_another_column_than_the_split_are_refused(
    sealed: Sealed, tmp_path: Path
) -> None:
    sealed()
    other = Classes(("a", "b"), column="x_grade")
    with pytest.raises(RefusedInputError, match="the split balanced the column 'label'"):
        sealed_parts(source_of(20), manifest_of(20), split=tmp_path / "split.json", classes=other)


def test_a_missing_label_of_the_test_is_named_without_an_opening(tmp_path: Path) -> None:
    manifest = manifest_of(20, label=None, split="test")
    path = tmp_path / "split.json"
    write_split(make_split(manifest, SplitPlan(given="test")), path)
    parts = sealed_parts(source_of(20), manifest, split=path, classes=CLASSES)
    with pytest.raises(RefusedInputError, match="row 21, column label: case c19 has no label"):
        parts.unseal(final=True, model_sha256=WEIGHTS, who="an")
    assert not parts.log.exists()
