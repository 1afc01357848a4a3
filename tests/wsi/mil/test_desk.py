"""What the commands on models of bags share: bags, one split, and what the audit says of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.wsi.mil.desk import Desk, assumption_lines, audit_of
from medconsist.wsi.mil.methods import MethodChoice
from tests.wsi.mil.small_study import DIM, SmallStudy, features_of, small_study


def desk_of(study: SmallStudy) -> Desk:
    return Desk(
        manifest=study.manifest,
        split=study.split,
        classes=("normal", "tumour"),
        features=study.features,
        unit="tile",
    )


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    return small_study(tmp_path / "study", sites=2)


def test_bags_or_features_one_of_the_two_and_rows_that_say_what_they_are() -> None:
    common: dict[str, Any] = {
        "manifest": Path("m.csv"),
        "split": Path("s.json"),
        "classes": ("a", "b"),
    }
    both: dict[str, Any] = {"bags": Path("r"), "features": Path("f"), "unit": "tile"}
    for given in ({}, both):
        with pytest.raises(RefusedInputError, match="one of the two"):
            Desk(**common, **given)
    with pytest.raises(RefusedInputError, match=r"--unit tile\|slide\|case"):
        Desk(**common, features=Path("f"))


def test_provenance_says_where_features_and_split_are_from(study: SmallStudy) -> None:
    split = study.freeze()
    said = desk_of(study).provenance(tests=("a line",))
    assert (said.space.dim, said.space.encoder, said.study) == (DIM, None, "file tiles.safetensors")
    assert (said.split_sha256, said.fold, said.tests) == (split.sha256, 0, ("a line",))


def test_a_split_without_validation_is_audited_and_not_trained_on(study: SmallStudy) -> None:
    study.freeze(validation=None)
    desk = desk_of(study)
    with pytest.raises(RefusedInputError, match="has no validation part"):
        _ = desk.validation
    assert [one.name for one in audit_of(desk)][:4] == ["split", "patients", "copies", "sites"]


def test_a_planted_scanner_that_goes_with_the_label_is_a_leak(tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", sites=2)  # every other patient, as the tumour
    bags = {}
    for number, (case, bag) in enumerate(load_file(study.features).items()):
        odd = int(case[1:].rstrip("b")) % 2
        bags[case] = features_of("normal", seed=number) + 4.0 * odd * torch.eye(DIM)[1]
        assert bag.shape == bags[case].shape
    save_file(bags, study.features)
    study.freeze()
    found = {one.name: one for one in audit_of(desk_of(study))}
    assert found["shortcut"].is_leak
    assert not found["label by site"].passed
    assert "--group site" in found["shortcut"].sentence


def test_labels_of_the_test_do_not_change_the_audit(study: SmallStudy) -> None:
    split = study.freeze()
    before = audit_of(desk_of(study))
    tests = set(split.cases(0, "test"))
    lines = study.manifest.read_text().splitlines()
    turned = [
        line.replace("tumour", "normal") if line.split(",")[2] in tests else line for line in lines
    ]
    assert turned != lines
    study.manifest.write_text("\n".join(turned))
    study.split.unlink()
    # the parts of before under the changed manifest, frozen again
    made = study.freeze().model_copy(update={"rounds": split.rounds})
    said = canonical_json(made.model_dump(mode="json", exclude={"sha256"}))
    sealed = made.model_copy(update={"sha256": sha256_of_bytes(said)})
    study.split.write_text(sealed.model_dump_json())
    after = audit_of(desk_of(study))
    assert [one.sentence for one in after[1:]] == [one.sentence for one in before[1:]]


def test_an_altered_split_is_the_only_finding_and_a_lost_one_is_no_leak(study: SmallStudy) -> None:
    study.freeze()
    study.split.write_text(study.split.read_text().replace('"seed": 0', '"seed": 3'))
    (only,) = audit_of(desk_of(study))
    assert (only.name, only.is_leak) == ("split", True)
    study.split.unlink()
    with pytest.raises(MissingInputError, match="there is no split"):
        audit_of(desk_of(study))


@pytest.mark.parametrize("name", ["ins", "panther", "probe", "transmil"])
def test_what_was_not_tested_for_the_assumption_is_said(name: str) -> None:
    (line,) = assumption_lines(MethodChoice(name=name), seed=0)
    assert line == f"MIL assumption (Raff and Holt): {name} was not tested."
