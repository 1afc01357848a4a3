import os
from pathlib import Path

from medconsist.viewing.worklist_sites import MANIFEST, sites_of


def write(root: Path, study: str, text: str, *, at: int = 1) -> None:
    (root / study).mkdir(exist_ok=True)
    path = root / study / MANIFEST
    path.write_text(text)
    os.utime(path, (at, at))


def test_sites_are_those_of_the_manifest_of_each_study(tmp_path: Path) -> None:
    rows = "path,patient,case,site\na.h5,p1,c1,north\nb.h5,p1,c1,south\nc.h5,p2,c2,\n"
    write(tmp_path, "brain", rows)
    write(tmp_path, "heart", "path,patient,case,site\na.h5,p1,c1,west\n")
    (tmp_path / "spine").mkdir()
    found, problems = sites_of(tmp_path, ["brain", "heart", "spine", "gone"])
    assert found == {("brain", "c1"): "north+south", ("heart", "c1"): "west"}
    assert problems == ()


def test_a_manifest_that_is_wrong_says_so_and_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "brain", "path,patient,case,site\na.h5,p1,c1,north\na.h5,p2,c1,north\n")
    write(tmp_path, "heart", "path,patient,case,site\na.h5,p1,c1,west\n")
    found, problems = sites_of(tmp_path, ["brain", "heart"])
    assert found == {("heart", "c1"): "west"}
    assert len(problems) == 1
    assert problems[0].startswith("Sites of study brain are unknown: ")


def test_a_manifest_is_read_again_when_it_changed(tmp_path: Path) -> None:
    for at, site in enumerate(["north", "south"], start=1):
        write(tmp_path, "brain", f"path,patient,case,site\na.h5,p1,c1,{site}\n", at=at)
        assert sites_of(tmp_path, ["brain"])[0] == {("brain", "c1"): site}
