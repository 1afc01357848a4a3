"""Finished parts: computed once, of one table alone, never mixed."""

from pathlib import Path

import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.kept import KeptFolder


def test_a_part_is_computed_once(tmp_path: Path) -> None:
    made = list[int]()

    def make() -> dict[str, object]:
        made.append(1)
        return {"values": [0.1, None], "name": "cell ä"}

    first = KeptFolder(tmp_path / "a", {"seed": 0}).part("cell 4 %/one", make)
    again = KeptFolder(tmp_path / "a", {"seed": 0}).part("cell 4 %/one", make)
    assert first == again == {"values": [0.1, None], "name": "cell ä"}
    assert len(made) == 1


def test_a_part_that_fails_is_not_kept(tmp_path: Path) -> None:
    folder = KeptFolder(tmp_path, {})

    def fail() -> dict[str, object]:
        msg = "no"
        raise ArithmeticError(msg)

    with pytest.raises(ArithmeticError, match="no"):
        folder.part("a", fail)
    assert folder.find("a") is None


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    KeptFolder(tmp_path / "a", {"seed": 0, "size": 128})
    with pytest.raises(RefusedInputError, match=r"a table of other settings \(seed\)"):
        KeptFolder(tmp_path / "a", {"seed": 1, "size": 128})


def test_a_part_of_another_table_is_refused(tmp_path: Path) -> None:
    KeptFolder(tmp_path / "a", {"seed": 0}).part("one", lambda: {"value": 1})
    KeptFolder(tmp_path / "b", {"seed": 1}).part("one", lambda: {"value": 2})
    (tmp_path / "a/parts/one.json").replace(tmp_path / "b/parts/one.json")
    with pytest.raises(RefusedInputError, match="of a table of other settings; delete it"):
        KeptFolder(tmp_path / "b", {"seed": 1}).find("one")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.h5").touch()
    with pytest.raises(RefusedInputError, match=r"holds scan.h5 and no table of ours"):
        KeptFolder(tmp_path, {})


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    folder = KeptFolder(tmp_path, {})
    folder.part("one", lambda: {"value": 1})
    (tmp_path / "parts/one.json").write_text("{")
    with pytest.raises(RefusedInputError, match=r"one.json: Invalid JSON"):
        folder.find("one")
