"""What the rows of a manifest say of each case: whose it is, its label, its sites, its items."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.columns import is_own
from medconsist.manifests.problem import problem_at, rows_said

__all__ = ["CaseFacts", "case_facts", "digest_of_cases"]

_LABELS = ("label", "site")  # columns of ours that may serve as a label, beside x_...


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """One case: the rows of a manifest that name it, as one.

    Parameters
    ----------
    case, patient
        Ids, whole: they are compared for equality and never searched in one another.
    label
        The same in all its rows; None where none of them has one.
    sites
        In which its rows lie, sorted; empty where none is known.
    items
        Its files, sorted.
    rows
        Numbers of its rows, as a spreadsheet counts.

    Examples
    --------
    >>> CaseFacts(case="c1", patient="p1", label="tumour", sites=("a",)).items
    ()
    """

    case: str
    patient: str
    label: str | None = None
    sites: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    @property
    def site(self) -> str | None:
        """Its one site; several are joined by ``+``, and None is unknown."""
        return "+".join(self.sites) or None

    @property
    def digest(self) -> str:
        """The sha256 of what is said of it, without paths and numbers of rows."""
        said = [self.case, self.patient, self.label, self.sites, self.items]
        return sha256_of_bytes(canonical_json(said))


def case_facts(rows: Sequence[CaseRow], *, label: str = "label") -> tuple[CaseFacts, ...]:
    """Return the cases of a manifest, sorted by id: the order of its rows does not matter.

    Parameters
    ----------
    rows
        Of one manifest.
    label
        Column that holds the labels: ``label``, ``site``, or one of your own (``x_...``).

    Raises
    ------
    RefusedInputError
        Two labels, or two patients, of one case; or a column that holds no labels.

    Examples
    --------
    >>> from pathlib import Path
    >>> row = CaseRow(row=2, path=Path("/a"), item="s1", case="c1", patient="p1", label="tumour")
    >>> [(facts.case, facts.label) for facts in case_facts([row])]
    [('c1', 'tumour')]
    """
    _refuse_column(rows, label)
    grouped = defaultdict[str, list[CaseRow]](list)
    for row in rows:
        grouped[row.case].append(row)
    return tuple(_facts(grouped[case], label) for case in sorted(grouped))


def digest_of_cases(facts: Sequence[CaseFacts]) -> str:
    """Return one sha256 of all that is said of these cases, whatever their order."""
    return sha256_of_bytes(canonical_json(sorted(one.digest for one in facts)))


def _facts(rows: list[CaseRow], column: str) -> CaseFacts:
    labels = {row.row: _cell(row, column) for row in rows}
    if len(set(labels.values())) > 1:
        raise _at_odds(rows[0].case, column, labels)
    patients = {row.row: row.patient for row in rows}
    if len(set(patients.values())) > 1:
        raise _at_odds(rows[0].case, "patient", patients)
    return CaseFacts(
        case=rows[0].case,
        patient=rows[0].patient,
        label=labels[rows[0].row],
        sites=tuple(sorted({row.site for row in rows if row.site})),
        items=tuple(sorted(row.item for row in rows)),
        rows=tuple(sorted(row.row for row in rows)),
    )


def _cell(row: CaseRow, column: str) -> str | None:
    if is_own(column):
        return row.own.get(column)
    value: str | None = getattr(row, column)
    return value


def _at_odds(case: str, column: str, said: Mapping[int, str | None]) -> RefusedInputError:
    values = defaultdict[str, list[int]](list)
    for number, value in sorted(said.items()):
        values[value or "(empty)"].append(number)
    listed = ", ".join(f"{value} ({rows_said(values[value])})" for value in sorted(values))
    fault = f"case {case} has {len(values)} {column}s: {listed}; a case has one."
    return RefusedInputError(problem_at(max(said), column, fault).sentence)


def _refuse_column(rows: Sequence[CaseRow], column: str) -> None:
    own = sorted({name for row in rows for name in row.own})
    if column in _LABELS or column in own:
        return
    msg = f"there is no column {column!r} of labels. {nearest(column, [*_LABELS, *own])}"
    raise RefusedInputError(msg)
