"""The shared heart speaks of no domain: no word of one occurs in its sources."""

import re
from pathlib import Path

import pytest

import medconsist.consistency

WORDS = (
    "kspace",
    "k-space",
    "coil",
    "slide",
    "patient",
    "ecg",
    "eeg",
    "mri",
    "histology",
)
SOURCES = sorted(Path(medconsist.consistency.__path__[0]).rglob("*.py"))


def domain_words(text: str) -> list[str]:
    """Return the domain words of a text, also inside names such as `n_coils` or `KSpace`."""
    pattern = "|".join(re.escape(word) for word in WORDS)
    return [found.lower() for found in re.findall(pattern, text, flags=re.IGNORECASE)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_word_of_a_domain_in_the_consistency_room(source: Path) -> None:
    assert domain_words(source.read_text(encoding="utf-8")) == []


def test_the_search_finds_words_inside_names() -> None:
    assert domain_words("def per_coil(n_slides): KSpace, ECGs") == [
        "coil",
        "slide",
        "kspace",
        "ecg",
    ]


def test_the_search_reads_every_file_of_the_room() -> None:
    assert {"__init__", "splits"} <= {source.stem for source in SOURCES}
