"""Embeddings of any model as bags: tiles, slides or whole cases, checked before training."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.errors import NoTissueError, RefusedInputError
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.wsi.mil.feature_files import NamedRows, named_rows
from medconsist.wsi.mil.sources import CaseSource

__all__ = ["FeatureBags", "Unit", "feature_bags"]

Unit = Literal["tile", "slide", "case"]
_SHOWN = 5


class FeatureBags(CaseSource):
    """Features from files of other programs, one bag a case.

    Every array is read once when it is made, so that a fault is found before training; tables stay
    in memory, other files are read again when they are asked for. For many slides of many tiles,
    import them into a study first: its bags are memory-mapped.

    Parameters
    ----------
    of_case
        What belongs to each case: several slides of one follow each other.

    Raises
    ------
    RefusedInputError
        Nothing at all, features that are not finite or of several lengths, or files that say that
        they are of several encoders or tilings; names the first.
    NoTissueError
        A case without any row.

    Examples
    --------
    >>> slides = [NamedRows(f"s{n}", lambda n=n: torch.ones(n, 4)) for n in (2, 1)]
    >>> source = FeatureBags({"c1": slides})
    >>> source.cases, source.instances(0), source.rows(0, torch.tensor([2])).tolist()
    (('c1',), 3, [[1.0, 1.0, 1.0, 1.0]])
    """

    def __init__(self, of_case: Mapping[str, Sequence[NamedRows]]) -> None:
        self._of_case = {case: tuple(of_case[case]) for case in sorted(of_case)}
        everything = [one for case in self._of_case.values() for one in case]
        if not everything:
            msg = "there are no features; name a file that holds some."
            raise RefusedInputError(msg)
        _refuse_mixed(everything)
        sizes, dims = list[int](), dict[int, str]()
        for case, parts in self._of_case.items():
            shapes = [_checked(one) for one in parts]
            sizes.append(sum(rows for rows, _ in shapes))
            for one, (_, dim) in zip(parts, shapes, strict=True):
                dims.setdefault(dim, one.name)
            if not sizes[-1]:
                msg = f"case {case} has no row of features; take it out, or embed its slides again."
                raise NoTissueError(msg)
        if len(dims) != 1:
            said = ", ".join(f"{dim} ({name})" for dim, name in sorted(dims.items())[:_SHOWN])
            msg = f"features have {len(dims)} lengths: {said}; take those of one encoder."
            raise RefusedInputError(msg)
        self._sizes, self._dim = tuple(sizes), next(iter(dims))

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self._dim

    @property
    def cases(self) -> tuple[str, ...]:
        """The case of each bag, sorted."""
        return tuple(self._of_case)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self._of_case)

    def instances(self, bag: int) -> int:
        """Return how many rows a case has; a slide or case embedding is a bag of one."""
        return self._sizes[bag]

    def rows(
        self, bag: int, which: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n_or_all dim"]:
        """Return these rows, or all, as the files hold them; float64 becomes float32."""
        parts = [one.read() for one in self._of_case[self.cases[bag]]]
        rows = parts[0] if len(parts) == 1 else torch.cat(parts)
        return rows if which is None else rows[which]


def feature_bags(
    path: Path, manifest: CaseManifest | Sequence[CaseRow], *, unit: Unit
) -> FeatureBags:
    r"""Return the features of a file as bags of the cases of a manifest.

    Parameters
    ----------
    path
        See `medconsist.wsi.mil.feature_files`.
    manifest
        Or its rows: says which slide is of which case. Names of neither are left out.
    unit
        What a row of features stands for, which no file says: a ``"case"`` (names are cases, each
        once: a bag of one), a ``"slide"`` (names are items or cases of one slide, each once: a
        bag of slides) or a ``"tile"`` (names are items or cases, and may repeat).

    Raises
    ------
    RefusedInputError
        A name twice where it may not be, more than one row for a slide or case, a name that is
        both a case and an item of another case, or none that the manifest knows.
    MissingInputError, NoTissueError, UnsafeFileError, CorruptInputError, BudgetError
        See `named_rows` and `FeatureBags`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "titan.csv"
    >>> size = path.write_text("case,f0,f1\nc1,0.5,1\n")
    >>> row = CaseRow(row=2, path=Path("/a"), item="s1", case="c1", patient="p1")
    >>> feature_bags(path, [row], unit="case").rows(0).tolist()
    [[0.5, 1.0]]
    """
    rows = manifest.rows if isinstance(manifest, CaseManifest) else manifest
    cases = _cases_by_name(rows, unit)
    found = named_rows(path)
    _refuse_twice(path, found, unit)
    known = [one for one in found if one.name in cases]
    if not known:
        kinds = "cases" if unit == "case" else "items or cases"
        names = ", ".join(sorted({one.name for one in found})[:_SHOWN])
        msg = (
            f"{path}: none of its {len(found)} names ({names}) is among the {kinds} of the "
            "manifest; are they other ids, or features of other cases?"
        )
        raise RefusedInputError(msg)
    of_case = defaultdict[str, list[NamedRows]](list)
    for one in known:
        of_case[_only(cases[one.name], one.name)].append(one)
    source = FeatureBags(of_case)
    _refuse_several_rows(path, known, unit)
    return source


def _cases_by_name(rows: Sequence[CaseRow], unit: Unit) -> dict[str, set[str]]:
    named = {row.case: {row.case} for row in rows}
    if unit != "case":
        for row in rows:
            named.setdefault(row.item, set()).add(row.case)
    return named


def _only(cases: set[str], name: str) -> str:
    if len(cases) > 1:
        msg = (
            f"{name} names files of the cases {', '.join(sorted(cases)[:_SHOWN])}, so that "
            "features by that name belong to none of them; give each item a name of its own."
        )
        raise RefusedInputError(msg)
    return next(iter(cases))


def _refuse_twice(path: Path, found: Sequence[NamedRows], unit: Unit) -> None:
    counts = Counter(one.name for one in found)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice and unit != "tile":
        msg = (
            f"{path}: {unit} {twice[0]} is there {counts[twice[0]]} times ({len(twice)} such); "
            "keep one row of each, or say that rows are tiles."
        )
        raise RefusedInputError(msg)


def _refuse_several_rows(path: Path, known: Sequence[NamedRows], unit: Unit) -> None:
    if unit == "tile":
        return
    for one in known:
        count = len(one.read())
        if count != 1:
            msg = f"{path}: {unit} {one.name} has {count} rows, not one; are they tiles?"
            raise RefusedInputError(msg)


def _checked(one: NamedRows) -> tuple[int, int]:
    rows = one.read()
    bad = (~rows.isfinite()).nonzero()
    if len(bad):
        row, column = (int(part) for part in bad[0])
        msg = (
            f"the features of {one.name} hold NaN or infinity ({len(bad)} values, the first in row "
            f"{row}, feature {column}); embed it again, or take it out."
        )
        raise RefusedInputError(msg)
    if not rows.shape[1]:
        msg = f"the features of {one.name} have the length 0; embed it again, or take it out."
        raise RefusedInputError(msg)
    return int(rows.shape[0]), int(rows.shape[1])


def _refuse_mixed(everything: Sequence[NamedRows]) -> None:
    first = dict[str, str]()
    for one in everything:
        first.setdefault(one.made_by, one.name)
    if len(first) > 1:
        said = "; ".join(
            f"{name}: {made or 'nothing said'}" for made, name in list(first.items())[:2]
        )
        msg = f"files of several encoders or tilings ({said}); take those of one run."
        raise RefusedInputError(msg)
