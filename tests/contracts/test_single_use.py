"""Every brick of the shared heart serves two domains, or is listed with its reason."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import medconsist.consistency
from tests.contracts.single_use import DONE, LISTED, Use

ROOM = Path(medconsist.consistency.__path__[0])
HEART = "medconsist.consistency"


def domains() -> set[str]:
    """Return the rooms that share a floor with `mri` in the import contract, built or not."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    contracts = tomllib.loads(project.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    floors = [re.findall(r"\w+", layer) for layer in contracts[0]["layers"]]
    return next(set(floor) for floor in floors if "mri" in floor)


def public_names(source: Path) -> list[str]:
    """Return what the module lists in `__all__`."""
    for node in ast.parse(source.read_text("utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return list(ast.literal_eval(node.value))
    return []


def bricks(room: Path) -> set[str]:
    """Return the public names of the room's public modules, as `module.name`."""
    sources = [source for source in room.rglob("*.py") if not source.stem.startswith("_")]
    return {f"{source.stem}.{name}" for source in sources for name in public_names(source)}


def imported(source: str) -> Iterator[str]:
    """Yield the bricks that a source uses: `module.name`, however it imports them."""
    tree = ast.parse(source)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == HEART:
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{HEART}."):
            module = (node.module or "").removeprefix(f"{HEART}.")
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            paths = [(alias.asname or alias.name, alias.name) for alias in node.names]
            modules |= {
                path: name.removeprefix(f"{HEART}.")
                for path, name in paths
                if name.startswith(f"{HEART}.")
            }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            yield f"{modules[ast.unparse(node.value)]}.{node.attr}"


def importers(library: Path, rooms: set[str]) -> dict[str, set[str]]:
    """Return, for each brick, the domains whose sources import it."""
    found: dict[str, set[str]] = {}
    for room in sorted(rooms):
        for source in (library / room).rglob("*.py"):
            for brick in imported(source.read_text("utf-8")):
                found.setdefault(brick, set()).add(room)
    return found


def complaints(
    names: set[str], used: dict[str, set[str]], listed: dict[str, Use], rooms: set[str]
) -> list[str]:
    """Return what contradicts the contract, one sentence each."""
    said = [f"{name}: listed, but no such brick; remove it" for name in listed.keys() - names]
    for name in names:
        by = used.get(name, set())
        if name not in listed:
            if len(by) < 2:
                said.append(f"{name}: imported by {sorted(by)} only; list it with its reason")
            continue
        use = listed[name]
        if len(by) >= 2:
            said.append(f"{name}: imported by {sorted(by)}; remove it from the list")
        elif by - use.issues.keys():
            said.append(f"{name}: imported by {sorted(by)}, which its entry does not name")
        said += [
            f"{name}: issue {issue} is done, and {room} does not import it"
            for room, issue in use.issues.items()
            if issue <= DONE and room not in by
        ]
        if not use.reason or use.issues.keys() - rooms:
            said.append(f"{name}: its entry needs a reason and the issues of rooms {sorted(rooms)}")
    return sorted(said)


def test_every_brick_serves_two_domains_or_is_listed_with_its_reason() -> None:
    used = importers(ROOM.parent, domains())
    assert complaints(bricks(ROOM), used, LISTED, domains()) == []


def test_the_search_sees_what_is_built() -> None:
    assert {"mri", "wsi", "timeseries"} <= domains()
    assert {"prototypes.RingBank", "splits.random_split", "contrast.info_nce"} <= bricks(ROOM)
    assert "mri" in importers(ROOM.parent, domains())["splits.random_split"]


def test_the_search_finds_every_form_of_import() -> None:
    source = """
from medconsist.consistency.splits import Split, random_split as split
from medconsist.consistency import contrast as c
import medconsist.consistency.teacher
import medconsist.consistency.schedules as ramps
import torch.nn.functional as F
x = c.info_nce(medconsist.consistency.teacher.Teacher, ramps.linear, F.relu, y.splits)
"""
    assert set(imported(source)) == {
        "splits.Split",
        "splits.random_split",
        "contrast.info_nce",
        "teacher.Teacher",
        "schedules.linear",
    }


def test_the_contract_names_each_kind_of_fault() -> None:
    listed = {
        "a.waiting": Use({"mri": 4, "wsi": 99}, "both"),
        "a.broken": Use({"mri": 4, "wsi": 7}, "both"),
        "a.public": Use({}, "for users"),
        "a.done": Use({"mri": 4, "wsi": 7}, "both"),
        "a.gone": Use({"mri": 99}, "was removed"),
        "a.foreign": Use({"mri": 99}, "only there"),
        "a.bare": Use({"mri": 99}, ""),
        "a.nowhere": Use({"kitchen": 99}, "no such room"),
    }
    names = {"a.shared", "a.lonely"} | listed.keys() - {"a.gone"}
    used = {
        "a.shared": {"mri", "wsi"},
        "a.done": {"mri", "wsi"},
        "a.lonely": {"mri"},
        "a.waiting": {"mri"},
        "a.broken": {"mri"},
        "a.foreign": {"wsi"},
    }
    assert complaints(names, used, listed, {"mri", "wsi"}) == [
        "a.bare: its entry needs a reason and the issues of rooms ['mri', 'wsi']",
        "a.broken: issue 7 is done, and wsi does not import it",
        "a.done: imported by ['mri', 'wsi']; remove it from the list",
        "a.foreign: imported by ['wsi'], which its entry does not name",
        "a.gone: listed, but no such brick; remove it",
        "a.lonely: imported by ['mri'] only; list it with its reason",
        "a.nowhere: its entry needs a reason and the issues of rooms ['mri', 'wsi']",
    ]
