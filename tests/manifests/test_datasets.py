"""Data manifests: what comes with the program is sound, and names become patients as it says."""

import json
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path

import pytest

import medconsist
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.dataset import Dataset, datasets, named_dataset, read_dataset
from medconsist.manifests.naming import Naming
from medconsist.manifests.split_record import PARTS

SLIDES = ["camelyon-plus", "camelyon16", "camelyon17", "panda", "tcga-nsclc"]
SIGNALS = [
    *("ad-apava", "cinc2021-sample", "cpsc2018-sample", "ptb", "ptb-xl", "smni-eeg", "tdbrain"),
    "wfdb-sample",
]
KSPACE = [
    *("ahead", "cc359", "cmrxrecon", "fastmri-brain", "fastmri-knee", "fastmri-plus", "m4raw"),
    *("ocmr", "skm-tea", "stanford-fse-knees"),
]
NAMES = sorted([*SLIDES, *SIGNALS, *KSPACE])
CIRIM_PARTS = ("T1w brain", "FLAIR brain", "T2w knee")
READERS = Path(medconsist.__file__).parent / "mri" / "readers"
SOUND = """
name = "mine"
title = "Mine"
page = "https://example.org"
how = ""
license = ""
citation = ""
slides = ["*.svs"]
patient_from = '(?P<patient>P\\d+)_'
patients = "named"
"""
SPLIT = '[[splits]]\nname = "they"\nsource = "a"\nverified = true\ntrain = [1]\ntest = [2]\n'
FILE = '[[files]]\npath = "a.svs"\nurl = "https://example.org/a.svs"\n'


def test_the_data_sets_come_with_the_program() -> None:
    found = datasets()
    assert sorted(found) == NAMES
    for one in found.values():
        assert one.how
        assert one.license
        assert one.citation
        assert one.facts
        assert one.name in one.text
        assert bool(one.slides) == (one.name in SLIDES)
        assert bool(one.recordings) == (one.name in SIGNALS)
        assert bool(one.kspace) == (one.name in KSPACE)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_become_the_patients_that_the_examples_say(name: str) -> None:
    dataset = datasets()[name]
    assert any(one.patient is None for one in dataset.examples)
    for example in dataset.examples:
        folder = Path("/data")
        named = Naming(dataset.patient_from).name(folder, folder / example.path)
        found = (None, None) if named is None else (named.patient, named.item)
        assert found == (example.patient, example.item), example.path


@pytest.mark.parametrize("name", KSPACE)
def test_the_patterns_of_kspace_fit_its_cases(name: str) -> None:
    dataset = datasets()[name]
    cases = [one.path for one in dataset.examples if one.patient is not None]
    assert cases
    for path in cases:
        assert any(fnmatchcase(Path(path).name, pattern) for pattern in dataset.patterns), path


def test_the_reader_that_a_data_set_names_is_there() -> None:
    readers = {name: datasets()[name].reader for name in KSPACE}
    assert all((READERS / f"{reader}.py").is_file() for reader in readers.values())
    known = datasets()
    assert "reader: fastmri" in known["m4raw"].text
    assert "reader:" not in known["panda"].text


def test_every_contrast_of_the_paper_has_public_data_in_its_place() -> None:
    stand_ins = [(name, one) for name in KSPACE for one in datasets()[name].stand_ins]
    assert {one.design for _, one in stand_ins} == {"CIRIM"}
    found = {part: {name for name, one in stand_ins if one.part == part} for part in CIRIM_PARTS}
    assert all(len(names) > 1 for names in found.values()), found
    for name, one in stand_ins:
        dataset = datasets()[name]
        assert all(_is_below(file, dataset.patterns) for file in one.files), (name, one.files)
        assert one.text in dataset.text


def _is_below(file: str, patterns: tuple[str, ...]) -> bool:
    return any(file == pattern or fnmatchcase(file, pattern) for pattern in patterns)


def test_facts_that_were_not_read_at_their_source_are_shown_so() -> None:
    dataset = datasets()["panda"]
    unread = [fact.what for fact in dataset.facts if not fact.verified]
    assert unread
    assert all(f"- not verified: {what}" in dataset.text for what in unread)
    assert dataset.patients == "unknown"


@pytest.mark.parametrize("name", ["ad-apava", "ptb", "tdbrain"])
def test_nobody_of_a_published_split_crosses(name: str) -> None:
    for split in datasets()[name].splits:
        parts = [set(split.part(part)) for part in PARTS]
        assert all(parts)
        assert not any(one & other for one, other in combinations(parts, 2))


def test_the_published_splits_have_the_sizes_of_their_papers() -> None:
    known = datasets()
    sizes = {
        (name, split.name): [len(split.part(part)) for part in PARTS]
        for name in SIGNALS
        for split in known[name].splits
    }
    assert sizes == {
        ("ad-apava", "comet"): [19, 2, 2],
        ("ad-apava", "medformer"): [15, 4, 4],
        ("ptb", "comet"): [142, 28, 28],
        ("tdbrain", "comet"): [34, 8, 8],
    }
    positive = {name: len(known[name].split("comet").positive) for name in ("ad-apava", "ptb")}
    assert positive == {"ad-apava": 12, "ptb": 147}


def test_the_split_of_ptb_is_the_last_patients_of_each_class() -> None:
    split = named_dataset("ptb").split("comet")
    positive = sorted(split.positive)
    negative = sorted({*split.train, *split.validation, *split.test} - set(positive))
    assert sorted(split.validation) == sorted([*negative[-14:-7], *positive[-42:-21]])
    assert sorted(split.test) == sorted([*negative[-7:], *positive[-21:]])


def test_a_split_that_nobody_published_is_named_with_those_there_are() -> None:
    with pytest.raises(MissingInputError, match=r"split 'comett'\. Did you mean 'comet'"):
        named_dataset("ptb").split("comett")
    with pytest.raises(MissingInputError, match=r"panda has no published split.*\(none\)"):
        named_dataset("panda").split("comet")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own_is_read_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND + FILE)
    dataset = named_dataset(str(path))
    assert dataset.files[0].path == "a.svs"
    assert Dataset.model_validate_json(json.dumps(dataset.model_dump(mode="json"))) == dataset


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is no TOML"),
        ("name = 2026-01-01", "is no TOML of texts and numbers"),
        (SOUND.replace("license", "licence") + "license = ''", "the key 'licence' is not known"),
        (SOUND.replace("P\\d+", "P("), "patient_from"),
        (SOUND.replace("https", "ftp"), "page"),
        (SOUND + FILE.replace('"a.svs"', '"../a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace('"a.svs"', '"/a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace('"a.svs"', '".a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace("org/", "org:99999/"), r"files\.0\.url"),
        (SOUND + FILE.replace("org/", "org/ "), r"files\.0\.url"),
        (SOUND + FILE + 'sha256 = "abc"', r"files\.0\.sha256"),
        (SOUND + FILE + "bytes = -1", r"files\.0\.bytes"),
        (SOUND + FILE + FILE, "two files would be a.svs"),
        (SOUND + 'recordings = ["*.hea"]', "by recordings or by kspace, one of the three"),
        (SOUND + 'kspace = ["*.h5"]', "by recordings or by kspace, one of the three"),
        (SOUND.replace('slides = ["*.svs"]', ""), "by recordings or by kspace, one of the three"),
        (SOUND + 'reader = "fastmri"', "opens k-space; name the files by kspace"),
        (SOUND.replace("slides", "kspace") + 'reader = "fastmr"', "reader"),
        (SOUND + 'published = "May 2020"', "a year, month or day as ISO 8601"),
        (SOUND + SPLIT.replace("[2]", "[1]"), "split they: patient 1 is in two places"),
        (SOUND + SPLIT + "positive = [3]", "patient 3 is positive and in no part"),
        (SOUND + SPLIT.replace("[2]", "[]"), "nobody is trained on, or nobody is judged"),
    ],
)
def test_a_faulty_data_manifest_is_refused_by_file_and_key(
    text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedInputError, match=says) as caught:
        read_dataset(written(tmp_path, text))
    assert "mine.toml" in str(caught.value)


def test_a_data_set_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="Did you mean 'camelyon16'"):
        named_dataset("camelyon-16")
    with pytest.raises(MissingInputError, match="there is no data manifest"):
        named_dataset(str(tmp_path / "none.toml"))
