"""Fixtures of the manifest tests: a folder of files, and a manifest beside them."""

from collections.abc import Callable
from pathlib import Path

import pytest

Listing = Callable[[str | bytes], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files a.svs, b.svs, c.svs, A.svs, s 1.svs and the folder sub."""
    for name in ("a.svs", "b.svs", "c.svs", "A.svs", "s 1.svs"):
        (tmp_path / name).write_text(name)
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.fixture
def listing(folder: Path) -> Listing:
    """Write the text of a manifest into the folder."""

    def write(text: str | bytes) -> Path:
        path = folder / "cases.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write
