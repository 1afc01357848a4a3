"""Split a manifest by patient, or by site, freeze it in a file, and read it back unaltered."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import make_record, read_record
from medconsist.errors import BudgetError, CorruptResultError, MissingInputError, RefusedInputError
from medconsist.manifests.case_facts import CaseFacts, case_facts, digest_of_cases
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.manifests.problem import problem_at, rows_said
from medconsist.manifests.split_balance import Group, shared_out
from medconsist.manifests.split_notes import NO_LABEL, split_notes
from medconsist.manifests.split_record import PARTS, Counts, Patient, Round, Split, SplitPlan

__all__ = ["make_split", "read_split", "write_split"]

_DIGITS = 16  # of a sha256, kept for each case
_SHOWN = 5
_LARGEST_BYTES = 2**30
_Dealt = tuple[int | None, dict[str, tuple[str, ...]]]


def make_split(manifest: CaseManifest | Sequence[CaseRow], plan: SplitPlan | None = None) -> Split:
    """Split the patients of a manifest; the same patients and seed give the same split.

    Labels are balanced as `split_balance` says: a local minimum, not the best one there is. The
    order is drawn from the sha256 of seed and id, so that the order of the rows does not matter;
    another patient in the manifest may move others.

    With ``group="site"`` no site is on two sides (site-preserved folds; Howard et al., Nature
    Communications 2021, doi:10.1038/s41467-021-24698-1): sites are large and few, so that sizes and
    labels can be far from their share (the counts say how far), and another seed or repeat may find
    the same split, which a note says. Validation has sites of its own too.

    Parameters
    ----------
    manifest
        Sound, as `read_case_manifest` returns it, or its rows.
    plan
        See `SplitPlan`; None takes its defaults.

    Raises
    ------
    RefusedInputError
        Too few patients or sites for the parts, a case with two labels, a site that is not known
        where sites are kept apart, or no row of the given test set.

    Examples
    --------
    >>> rows = [CaseRow(row=n, path=Path(f"/{n}"), item=f"s{n}", case=f"c{n}", patient=f"p{n}")
    ...         for n in range(10)]
    >>> split = make_split(rows, SplitPlan(test=0.2, validation=0.25))
    >>> [len(split.rounds[0].part(part)) for part in PARTS]
    [6, 2, 2]
    """
    plan = plan or SplitPlan()
    rows = manifest.rows if isinstance(manifest, CaseManifest) else manifest
    facts = case_facts(rows, label=plan.label)
    groups = _groups(facts, plan)
    dealt = [
        (repeat, *one)
        for repeat in range(plan.repeats)
        for one in _deal(groups, plan, repeat, rows)
    ]
    rounds = tuple(_round(facts, repeat, fold, parts) for repeat, fold, parts in dealt)
    split = make_record(
        Split,
        plan=plan,
        manifest_sha256=digest_of_cases(facts),
        patients=_patients(facts),
        rounds=rounds,
        notes=tuple(split_notes(facts, rounds, plan)),
    )
    return split.model_copy(update={"sha256": _seal(split)})


def write_split(split: Split, path: Path) -> None:
    """Write a split, whole or not at all; a file that holds another one is never replaced.

    Raises
    ------
    RefusedInputError
        The name does not end with .json, or the file holds something else.
    StorageError
        The disk is full or not writable.
    """
    data = split.model_dump_json(indent=1).encode() + b"\n"
    if path.suffix.lower() != ".json":
        msg = f"{path}: splits are written as .json; give the file a name that ends so."
        raise RefusedInputError(msg)
    if path.exists() and (not path.is_file() or path.read_bytes() != data):
        msg = (
            f"{path} is there and holds something else; it stays, as results may rest on it. Name "
            "another file for the new split."
        )
        raise RefusedInputError(msg)
    make_folder(path.parent)
    atomic_write_bytes(path, data)


def read_split(path: Path, manifest: CaseManifest | Sequence[CaseRow] | None = None) -> Split:
    """Return a split that is as it was written, and still that of its manifest.

    Parameters
    ----------
    path
        As `write_split` wrote it.
    manifest
        The cases must be those of the split: same patients, labels, sites and items. None compares
        nothing.

    Raises
    ------
    MissingInputError
        There is no such file.
    CorruptResultError
        It was altered.
    RefusedInputError
        It is no split, a patient is in two parts, or the manifest has changed; names the cases.
    """
    if not path.is_file():
        msg = f"there is no split {path}; make one: medconsist manifest split CASES --out {path}"
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        if path.stat().st_size > _LARGEST_BYTES:
            msg = f"{path} holds {path.stat().st_size} bytes, allowed are {_LARGEST_BYTES}."
            raise BudgetError(msg)
        data = path.read_bytes()
    split = read_record(Split, data, source=str(path))
    if split.sha256 != _seal(split):
        msg = (
            f"{path} was altered: it says sha256 {split.sha256[:8]}... and has {_seal(split)[:8]}"
            "... Take the file as it was frozen, or make a new split under another name."
        )
        raise CorruptResultError(msg)
    if manifest is not None:
        _refuse_changed(path, split, manifest)
    return split


def _seal(split: Split) -> str:
    return sha256_of_bytes(canonical_json(split.model_dump(mode="json", exclude={"sha256"})))


def _groups(facts: Sequence[CaseFacts], plan: SplitPlan) -> list[Group]:
    names = (
        _site_names(facts) if plan.group == "site" else {one.patient: one.patient for one in facts}
    )
    counts = defaultdict[str, Counter[str]](Counter)
    members = defaultdict[str, set[str]](set)
    for one in facts:
        name = names[one.patient]
        counts[name][f"label {one.label or NO_LABEL}"] += 1
        members[name].add(one.patient)
    return [
        Group(name, tuple(sorted(members[name])), {**counts[name], "patients": len(members[name])})
        for name in sorted(members)
    ]


def _site_names(facts: Sequence[CaseFacts]) -> dict[str, str]:
    """Return for each patient the first of all sites that hang together with theirs."""
    unknown = [row for one in facts if not one.sites for row in one.rows]
    if unknown:
        fault = f"{rows_said(sorted(unknown))} name no site, and sites are to be kept apart; name "
        fault += "them, or split by patient."
        raise RefusedInputError(problem_at(min(unknown), "site", fault).sentence)
    head = dict[str, str]()

    def root(site: str) -> str:
        while head.setdefault(site, site) != site:
            site = head[site]
        return site

    of_patient = dict[str, str]()
    for one in facts:
        for site in one.sites:
            pair = sorted((root(site), root(of_patient.setdefault(one.patient, site))))
            head[pair[1]] = pair[0]
    return {patient: root(site) for patient, site in of_patient.items()}


def _deal(
    groups: Sequence[Group], plan: SplitPlan, repeat: int, rows: Sequence[CaseRow]
) -> Iterator[_Dealt]:
    draw = f"{plan.seed} {repeat}"
    if plan.folds is None:
        test, rest = _held_out(groups, plan, rows, draw)
        yield None, {"test": test, **_nested(rest, plan, draw)}
        return
    _require_groups(groups, plan.folds, plan, "folds")
    folds = shared_out(groups, [1 / plan.folds] * plan.folds, draw=draw)
    for number, test in enumerate(folds):
        rest = _without(groups, test)
        yield number, {"test": test, **_nested(rest, plan, f"{draw} {number}")}


def _held_out(
    groups: Sequence[Group], plan: SplitPlan, rows: Sequence[CaseRow], draw: str
) -> tuple[tuple[str, ...], list[Group]]:
    if plan.given == "ignored":
        _require_groups(groups, 2, plan, "parts")
        test, _ = shared_out(groups, [plan.test, 1 - plan.test], draw=f"{draw} test")
        return test, _without(groups, test)
    said = {row.patient for row in rows if row.split == "test"}
    if not said:
        msg = "no row says test in the column split; fill it in, or let the test set be drawn."
        raise RefusedInputError(msg)
    torn = [one.name for one in groups if 0 < len(said & set(one.patients)) < len(one.patients)]
    if torn:
        msg = (
            f"the given test set holds a part of {plan.group} {torn[0]} only ({len(torn)} such); "
            "split by patient, or let the test set be drawn."
        )
        raise RefusedInputError(msg)
    return tuple(sorted(said)), _without(groups, said)


def _nested(rest: Sequence[Group], plan: SplitPlan, draw: str) -> dict[str, tuple[str, ...]]:
    if plan.validation is None:
        _require_groups(rest, 1, plan, "parts")
        everybody = tuple(sorted(patient for group in rest for patient in group.patients))
        return {"train": everybody, "validation": ()}
    _require_groups(rest, 2, plan, "parts beside the test")
    shares = [plan.validation, 1 - plan.validation]
    validation, train = shared_out(rest, shares, draw=f"{draw} validation")
    return {"train": train, "validation": validation}


def _without(groups: Sequence[Group], patients: Sequence[str] | set[str]) -> list[Group]:
    gone = set(patients)
    return [group for group in groups if not gone & set(group.patients)]


def _require_groups(groups: Sequence[Group], wanted: int, plan: SplitPlan, parts: str) -> None:
    if len(groups) < wanted:
        kinds = {"patient": "patients", "site": "sites (those that share a patient count as one)"}
        msg = (
            f"{len(groups)} {kinds[plan.group]} cannot make {wanted} {parts}; take "
            "fewer folds, more patients or sites, or no validation."
        )
        raise RefusedInputError(msg)


def _round(
    facts: Sequence[CaseFacts],
    repeat: int,
    fold: int | None,
    parts: Mapping[str, tuple[str, ...]],
) -> Round:
    owner = {patient: part for part in PARTS for patient in parts[part]}
    counts = {part: _count([one for one in facts if owner[one.patient] == part]) for part in PARTS}
    return make_record(Round, repeat=repeat, fold=fold, counts=counts, **parts)


def _count(facts: Sequence[CaseFacts]) -> Counts:
    labels = Counter(one.label or NO_LABEL for one in facts)
    return Counts(
        patients=len({one.patient for one in facts}),
        cases=len(facts),
        sites=len({site for one in facts for site in one.sites}),
        labels=dict(sorted(labels.items())),
    )


def _patients(facts: Sequence[CaseFacts]) -> dict[str, Patient]:
    grouped = defaultdict[str, list[CaseFacts]](list)
    for one in facts:
        grouped[one.patient].append(one)
    return {
        patient: Patient(
            cases={one.case: one.digest[:_DIGITS] for one in grouped[patient]},
            sites=tuple(sorted({site for one in grouped[patient] for site in one.sites})),
        )
        for patient in sorted(grouped)
    }


def _refuse_changed(path: Path, split: Split, manifest: CaseManifest | Sequence[CaseRow]) -> None:
    rows = manifest.rows if isinstance(manifest, CaseManifest) else manifest
    facts = case_facts(rows, label=split.plan.label)
    if digest_of_cases(facts) == split.manifest_sha256:
        return
    was = {case: digest for one in split.patients.values() for case, digest in one.cases.items()}
    now = {one.case: one.digest[:_DIGITS] for one in facts}
    new, gone = sorted(set(now) - set(was)), sorted(set(was) - set(now))
    other = sorted(case for case in set(now) & set(was) if now[case] != was[case])
    said = [
        f"{len(cases)} {what} ({', '.join(cases[:_SHOWN])})"
        for cases, what in ((new, "cases are new"), (gone, "are gone"), (other, "say otherwise"))
        if cases
    ]
    name = f" {manifest.path}" if isinstance(manifest, CaseManifest) else ""
    msg = (
        f"the manifest{name} has changed since {path} was made of it: {'; '.join(said)} than then. "
        "Take the manifest of that time, or make a new split under another name."
    )
    raise RefusedInputError(msg)
