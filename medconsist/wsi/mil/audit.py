"""The leak audit: ways in which a test can be easier than the world, each looked for by itself."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.split import read_split
from medconsist.results.finding import Finding
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.fingerprints import Fingerprints, near_pairs

__all__ = [
    "copies_across",
    "patients_apart",
    "sites_apart",
    "split_unaltered",
    "truth_unseen",
]

_SHOWN = 5


def patients_apart(parts: Mapping[str, Cohort]) -> Finding:
    """Say whether a patient is in two parts: two are one if their ids are equal, whole.

    Examples
    --------
    ::

        patients_apart({"train": parts.train, "test": parts.test}).passed
    """
    owners = _owners({part: cohort.patients for part, cohort in parts.items()})
    shared = sorted(patient for patient, inside in owners.items() if len(inside) > 1)
    counted = f"{len(owners)} patients in {len(parts)} parts"
    sentence = f"No patient is in two parts ({counted})."
    if shared:
        where = " and ".join(owners[shared[0]])
        sentence = (
            f"{len(shared)} of {counted} are in more than one; the first, {shared[0]}, is in "
            f"{where}: split by patient again."
        )
    numbers = {"patients": len(owners), "shared": len(shared)}
    return Finding(name="patients", passed=not shared, sentence=sentence, numbers=numbers)


def sites_apart(parts: Mapping[str, Cohort]) -> Finding:
    """Say whether a site is in two parts; that is a warning, unless sites were to be kept apart."""
    owners = _owners(
        {part: [info.site for info in cohort.infos if info.site] for part, cohort in parts.items()}
    )
    shared = sorted(site for site, inside in owners.items() if len(inside) > 1)
    unknown = sum(info.site is None for cohort in parts.values() for info in cohort.infos)
    sentence = f"No site is in two parts ({len(owners)} sites; {unknown} cases name none)."
    if shared:
        sentence = (
            f"{len(shared)} of {len(owners)} sites are in more than one part (first: {shared[0]}; "
            f"{unknown} cases name none): the test says nothing of a new site."
        )
    passed = bool(owners) and not shared
    if not owners:
        sentence = "No case names its site: whether a site is in two parts is unknown."
    numbers = {"sites": len(owners), "shared": len(shared), "unknown": unknown}
    return Finding(
        name="sites", passed=passed, sentence=sentence, numbers=numbers, weight="warning"
    )


def copies_across(
    parts: Mapping[str, Cohort],
    *,
    cosine: float = 0.95,
    nearness: float = 0.25,
    shared: float = 0.05,
) -> Finding:
    """Say whether slides of two parts are copies, or near copies, of one another.

    Two bags are suspect if they share exact instance features (`Fingerprints.shared`), or if their
    mean features, standardised over all bags, point the same way (``cosine``) and lie nearer than
    ``nearness`` times the median distance from a bag to the nearest other one of its part. The
    cosine alone would suspect all slides of one scanner.

    Parameters
    ----------
    parts
        Two or more.
    cosine, nearness
        Of mean features.
    shared
        Share of exact features, of the smaller bag; estimated from 256 of them at most.

    Raises
    ------
    RefusedInputError
        Fewer than two parts.
    """
    if len(parts) < 2:
        msg = f"got {len(parts)} parts; allowed: two or more, to compare them."
        raise RefusedInputError(msg)
    found = Fingerprints.of(list(parts.values()))
    part_of = [part for part, cohort in parts.items() for _ in range(len(cohort))]
    infos = [info for cohort in parts.values() for info in cohort.infos]
    pairs = near_pairs(found, part_of, cosine=cosine, nearness=nearness, shared=shared)
    sentence = f"No bag of one part is a copy of one of another ({len(part_of)} bags compared)."
    if pairs:
        one, other = pairs[0]
        sentence = (
            f"{len(pairs)} pairs of bags in two parts are copies or near copies; the first: case "
            f"{infos[one].case} ({part_of[one]}) and case {infos[other].case} ({part_of[other]}). "
            "Look at the slides; copies belong to one patient."
        )
    numbers = {"bags": len(part_of), "pairs": len(pairs)}
    return Finding(name="copies", passed=not pairs, sentence=sentence, numbers=numbers)


def split_unaltered(path: Path, manifest: CaseManifest) -> Finding:
    """Say whether a split is as it was frozen, nobody in two parts, and still of its manifest.

    Raises
    ------
    MissingInputError
        There is no such split.
    """
    try:
        split = read_split(path, manifest)
    except (RefusedInputError, CorruptResultError) as error:
        return Finding(name="split", passed=False, sentence=str(error))
    sentence = f"The split is as it was frozen (sha256 {split.sha256[:8]}), and its manifest too."
    return Finding(name="split", passed=True, sentence=sentence)


def truth_unseen(
    train: Callable[[Sequence[Int64[Tensor, " _"]]], str],
    truth: Sequence[Int64[Tensor, " _"]],
    *,
    generator: Generator,
) -> Finding:
    """Say whether training ends with the same weights when the truth of instances is permuted.

    Trains twice, and a third time where the weights differ, to tell a leak from a training that
    does not repeat.

    Parameters
    ----------
    train
        Trains from nothing with this truth of instances in reach, and returns the sha256 of the
        weights. Seeds must be fixed in it.
    truth
        Of each bag.
    generator
        Of the permutation over all instances.

    Raises
    ------
    RefusedInputError
        The truth is the same for all instances, so that a permutation changes nothing.
    """
    together = torch.cat(list(truth))
    permuted = together[torch.randperm(len(together), generator=generator)]
    moved = int((permuted != together).sum())
    if not moved:
        msg = "the truth of all instances is the same; give bags with both kinds of instances."
        raise RefusedInputError(msg)
    first = train(truth)
    second = train(torch.split(permuted, [len(one) for one in truth]))
    numbers = {"instances": len(together), "moved": moved}
    if first == second:
        sentence = f"Permuting the truth of {moved} of {len(together)} instances changed no weight."
        return Finding(name="truth", passed=True, sentence=sentence, numbers=numbers)
    sentence = f"Permuting the truth of {moved} of {len(together)} instances changed the weights"
    if train(truth) != first:
        sentence += ", and so does training again: fix its seeds before anything can be said."
    else:
        sentence += ", and training again does not: the training reads the truth of instances."
    return Finding(name="truth", passed=False, sentence=sentence, numbers=numbers)


def _owners(parts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    owners = defaultdict[str, list[str]](list)
    for part, ids in parts.items():
        for one in sorted(set(ids)):
            owners[one].append(part)
    return owners
