"""What a split says to people: its parts in numbers, and what should be known of it."""

from collections.abc import Iterator, Sequence

from medconsist.manifests.case_facts import CaseFacts
from medconsist.manifests.split_record import PARTS, Counts, Round, Split, SplitPlan

__all__ = ["NO_LABEL", "split_notes", "split_text"]

NO_LABEL = "(none)"
"""As which cases without a label are counted."""

_SHOWN = 5


def split_text(split: Split) -> str:
    """Return what each part of each round holds, for people: patients, cases, sites, labels."""
    plan, lines = split.plan, list[str]()
    lines.append(
        f"Split by {plan.group}, seed {plan.seed}, sha256 {split.sha256[:8]}: "
        f"{len(split.patients)} patients, {_rounds(len(split.rounds))}."
    )
    for one in split.rounds:
        lines.append(f"{one.name}:")
        lines += [f"  {part:<10}  {_counted(one.counts[part])}" for part in PARTS]
    return "\n".join([*lines, *split.notes])


def split_notes(
    facts: Sequence[CaseFacts], rounds: Sequence[Round], plan: SplitPlan
) -> Iterator[str]:
    """Yield what to know: missing labels and classes, equal repeats, ids that begin alike."""
    unlabelled = [one.case for one in facts if one.label is None]
    if unlabelled:
        without = f"{len(unlabelled)} of {len(facts)} cases have no {plan.label}"
        yield f"{without} (first: {unlabelled[0]})."
    labels = {one.label for one in facts if one.label is not None}
    for one in rounds:
        for part in PARTS:
            lacking = sorted(labels - set(one.counts[part].labels))
            if lacking and one.part(part):
                yield f"{one.name}: {part} has no case of {', '.join(lacking[:_SHOWN])}."
    seen = dict[tuple[tuple[str, ...], ...], str]()
    for one in rounds:
        first = seen.setdefault((one.train, one.validation, one.test), one.name)
        if first != one.name:
            yield f"{one.name} is the same as {first}: repeats that are equal count once."
    alike = list(_alike(sorted({one.patient for one in facts})))
    if alike:
        yield (
            f"{len(alike)} pairs of patients have ids of which one begins with the other (first: "
            f"{alike[0][0]} and {alike[0][1]}): they count as different people; if they are not, "
            "write one id in the column patient."
        )


def _alike(patients: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = set(patients)
    for patient in patients:
        # a separator must follow: p1 is no beginning of p12
        ends = (at for at, letter in enumerate(patient) if letter in "-_." and at)
        yield from ((patient[:at], patient) for at in ends if patient[:at] in known)


def _counted(counts: Counts) -> str:
    labels = ", ".join(f"{count} {label}" for label, count in counts.labels.items())
    return (
        f"{counts.patients} patients, {counts.cases} cases, {counts.sites} sites; {labels or '-'}"
    )


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"
