"""``medconsist manifest`` as its users call it; and a manifest as the input of ``wsi embed``."""

import json
from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.jobs import slide_jobs
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob
from tests.cli.conftest import Program


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder with two files named as slides."""
    for name in ("p1/s1.svs", "p2/s2.svs"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    return tmp_path


def jobs(*inputs: Path, **given: object) -> list[SlideJob]:
    encoder = make_encoder("colour-texture", weights=None, device="cpu", precision="fp32")
    return slide_jobs(inputs, out=Path("results"), settings=Embedding(), encoder=encoder, **given)


def test_build_then_check_finds_no_fault(program: Program, slides: Path) -> None:
    out = slides / "m.csv"
    built = program("manifest", "build", slides, "--out", out, "--hash")
    assert built.code == 0, built.err
    assert built.out.splitlines() == [
        f"{out}: 2 rows, 2 patients.",
        "Patient and case: the folder that a file lies in; item: the name of the file.",
    ]
    checked = program("manifest", "check", out, "--hash")
    assert checked.code == 0
    assert checked.out.splitlines()[0] == f"{out}: 2 rows, 2 cases, 2 patients; no fault."


def test_build_takes_patterns_and_a_rule_for_patients(program: Program, slides: Path) -> None:
    out = slides / "m.csv"
    words = ("--pattern", "*2.svs", "--patient-from", r"/(?P<patient>s\d)", "--json")
    answer = program("manifest", "build", slides, "--out", out, *words)
    assert json.loads(answer.out)["rows"] == 1
    assert out.read_text() == "path,patient,case,item\np2/s2.svs,s2,s2,s2\n"


def test_check_prints_every_fault_and_ends_with_2(program: Program, slides: Path) -> None:
    path = slides / "m.csv"
    path.write_text("path,mpp\np1/s1.svs,0\nq.svs,1\n")
    answer = program("manifest", "check", path)
    assert answer.code == 2
    first, second, last = answer.out.splitlines()
    assert first.startswith(f"{path}: row 2, column mpp: 0 is not positive")
    assert second.startswith(f"{path}: row 3, column path: there is no file 'q.svs'")
    assert last == f"{path}: 2 faults."


def test_check_as_json_is_one_object(program: Program, slides: Path) -> None:
    path = slides / "m.csv"
    path.write_text("path,mpp\np1/s1.svs,0\n")
    problems = json.loads(program("manifest", "check", path, "--json").out)["problems"]
    assert [(problem["row"], problem["column"]) for problem in problems] == [(2, "mpp")]
    path.write_text("path\np1/s1.svs\n")
    sound = json.loads(program("manifest", "check", path, "--json").out)
    assert (sound["rows"], sound["cases"], sound["problems"]) == (1, 1, [])


def test_check_compares_hashes_only_when_asked(program: Program, slides: Path) -> None:
    path = slides / "m.csv"
    path.write_text(f"path,sha256\np1/s1.svs,{'0' * 64}\np2/s2.svs,\n")
    assert program("manifest", "check", path).code == 0
    answer = program("manifest", "check", path, "--hash")
    assert answer.code == 2
    assert "row 2, column sha256" in answer.out


def test_a_missing_manifest_gets_one_sentence(program: Program, tmp_path: Path) -> None:
    answer = program("manifest", "check", tmp_path / "m.csv")
    assert (answer.code, answer.out) == (2, "")
    assert "there is no manifest" in answer.sentence


def test_embed_refuses_a_manifest_with_faults_before_anything_runs(
    program: Program, slides: Path
) -> None:
    path = slides / "m.csv"
    path.write_text("path\np1/s1.svs\nq.svs\nr.svs\n")
    answer = program("wsi", "embed", path, "--out", slides / "results")
    assert answer.code == 2
    assert "row 3, column path" in answer.sentence
    assert "(1 more; see them by: medconsist manifest check" in answer.sentence
    assert not (slides / "results").exists()


def test_a_manifest_gives_one_job_a_row(slides: Path) -> None:
    path = slides / "m.csv"
    path.write_text("path,patient,case,item,mpp\np1/s1.svs,p7,c7,i7,0.5\np2/s2.svs,,,,\n")
    first, second = jobs(path, study="night", patient=None, case=None, mpp=None)
    assert (first.slide, first.patient, first.case, first.item, first.mpp, first.study) == (
        slides.resolve() / "p1" / "s1.svs",
        "p7",
        "c7",
        "i7",
        0.5,
        "night",
    )
    assert (second.patient, second.case, second.item, second.mpp) == ("s2", "s2", "s2", None)


@pytest.mark.parametrize("given", [{"case": "c"}, {"patient": "p"}, {"mpp": 0.5}], ids=str)
def test_ids_and_mpp_are_not_given_twice(slides: Path, given: dict[str, object]) -> None:
    (slides / "m.csv").write_text("path\np1/s1.svs\n")
    with pytest.raises(RefusedInputError, match=f"--{next(iter(given))} and a manifest were given"):
        jobs(slides / "m.csv", **given)


def test_a_manifest_comes_alone(slides: Path) -> None:
    with pytest.raises(RefusedInputError, match="2 inputs were named, and one is a manifest"):
        jobs(slides / "p1" / "s1.svs", slides / "m.csv")
    with pytest.raises(MissingInputError, match="no slide was named"):
        jobs()
