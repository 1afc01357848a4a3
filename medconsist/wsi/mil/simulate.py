"""Bags of this simulator, nobody's tissue: features whose truth is known tile by tile."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags

__all__ = ["BagRecipe", "SimulatedBags", "fingerprint", "simulate_bags", "spec_bags"]


@dataclass(frozen=True, kw_only=True)
class BagRecipe:
    r"""What is simulated, apart from the draws.

    An instance is :math:`x = B z + .05\,\epsilon + .3` with an orthonormal B (dim x subspace) and

    .. math:: z = \mu_c + \nu + s_{site} + p_{patient} + \delta\, \phi\, t, \quad
              \nu \sim N(0, 1), \quad |t| = 1

    :math:`\mu_c`: one of a few centres of normal tissue, with normal coordinates of standard
    deviation ``spread``; :math:`s`, :math:`p`: a direction of its own for each site and patient;
    :math:`\delta`: 0 for a normal instance, else ``hard_shift`` or, with probability ``easy``,
    ``easy_shift``; :math:`\phi = \pm 1`: the phenotype. The two phenotypes lie in opposite
    directions from every centre, so no one direction separates tumour from normal tissue: the mean
    of tumour shifts is only ``(2 common - 1) (1 - mixed)`` of that of one phenotype. A positive bag
    is of one phenotype, the commoner with probability ``common``; or, with probability ``mixed``,
    each of its tumour instances is of either with probability 1/2.

    The defaults were chosen on draws 9001 to 9003, which no table uses, before any table was made:
    58 training bags, ABMIL of width 128 for 20 epochs and 3 seeds. Instance AUC within a bag, mean
    over draws: .65 for a logistic regression on copied bag labels, .87 for a small network on them,
    .77 and .97 for the same two on true labels, .65 for the attention; ABMIL told bags apart with
    .80, from .74 to .92 by seed. With centres twice as far apart, as in `spec_bags`, ABMIL stayed
    at chance (.43 to .53) and the ceiling fell to .93. With ``common=.5`` no linear score can do
    better than chance: the row of copied labels would be a bar of .5, passed by anything.

    Parameters
    ----------
    bags
        Cases.
    dim, subspace
        Length of a feature; dimensions in which tissue varies.
    centres, spread
        Number of centres of normal tissue; standard deviation of their coordinates.
    instances
        Size of a bag, uniform from the first to below the second.
    witness
        Share of tumour instances in a positive bag, uniform between the two; at least 2 instances.
    easy
        Probability that a tumour instance is easy, in bags that have easy ones.
    hard_only
        Share of positive bags that have none: what a method that saw the easy ones alone misses.
    hard_shift, easy_shift
        Lengths of a hard and of an easy shift, in standard deviations of a centre.
    common, mixed
        See above.
    sites, site_shift
        Number of sites; length of their shifts, by default that of a hard tumour.
    site_label_association
        0: all sites have as many positive as negative patients. 1: each site has one kind only, the
        even sites positive ones. Between: a share of ``(1 + association) / 2`` positive in even
        sites and ``(1 - association) / 2`` in odd ones: a planted scanner confounder.
    patient_shift
        Length of the shift of a patient.
    two_cases
        Share of patients with two cases; their label is the same.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> BagRecipe(easy=1.0).hard_shift
    3.5
    """

    bags: int = 160
    dim: int = 64
    subspace: int = 24
    centres: int = 8
    spread: float | int = 1.0
    instances: tuple[int, int] = (100, 300)
    witness: tuple[float | int, float | int] = (0.05, 0.20)
    easy: float | int = 0.3
    hard_only: float | int = 0.3
    hard_shift: float | int = 3.5
    easy_shift: float | int = 6.0
    common: float | int = 0.8
    mixed: float | int = 0.2
    sites: int = 4
    site_shift: float | int = 3.5
    site_label_association: float | int = 0.0
    patient_shift: float | int = 1.0
    two_cases: float | int = 0.25

    def __post_init__(self) -> None:
        shares = (self.easy, self.hard_only, self.common, self.mixed, self.two_cases, *self.witness)
        counts = (self.bags, self.centres, self.sites, self.subspace)
        lengths = (self.spread, self.hard_shift, self.easy_shift, self.site_shift)
        wrong = {
            "bags, centres, sites and subspace must be 1 or more": min(counts) < 1,
            "dim must be at least subspace": self.dim < self.subspace,
            "instances must be (fewest, above most), at least 2": not 2
            <= self.instances[0]
            < self.instances[1],
            "easy, hard_only, common, mixed, two_cases and witness must be in [0, 1]": not all(
                0 <= share <= 1 for share in shares
            ),
            "witness must be (least, most)": self.witness[0] > self.witness[1],
            "site_label_association must be in [0, 1]": not 0 <= self.site_label_association <= 1,
            "spread and shifts must be finite, 0 or more": not all(
                0 <= length < np.inf for length in (*lengths, self.patient_shift)
            ),
        }
        said = [sentence for sentence, is_wrong in wrong.items() if is_wrong]
        if said:
            msg = f"{'; '.join(said)}; got {self}."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class SimulatedBags:
    """A cohort, and beside it what no training may see.

    Parameters
    ----------
    cohort
        Features and labels of bags; nothing of single instances.
    phenotype
        For each bag of the cohort and each instance: 0 normal, 1 or -1 tumour.
    is_easy
        Which instances are easy tumour.

    Examples
    --------
    >>> simulated = simulate_bags(BagRecipe(bags=4), draw=0)
    >>> len(simulated.cohort), len(simulated.truth[0]) == simulated.cohort.instances(0)
    (4, True)
    """

    cohort: Cohort
    phenotype: tuple[Int8[Tensor, " _"], ...]
    is_easy: tuple[Bool[Tensor, " _"], ...]

    @property
    def truth(self) -> tuple[Bool[Tensor, " _"], ...]:
        """Which instances are tumour, bag by bag; for evaluation and ceilings alone."""
        return tuple(kinds != 0 for kinds in self.phenotype)

    def truth_of(self, part: Cohort) -> tuple[Bool[Tensor, " _"], ...]:
        """Return the truth of a part of the cohort, in the order of the part."""
        return tuple(self.phenotype[number] != 0 for number in part.numbers)


def simulate_bags(recipe: BagRecipe, *, draw: int) -> SimulatedBags:
    """Return one dataset; draws differ in everything, the directions of tumour and sites included.

    Every bag has random numbers of its own, as many for any shares and shifts: two recipes that
    differ only in these give the same normal tissue from the same draw. The patients come in random
    order, so the first of them are a random part.

    Parameters
    ----------
    recipe
        See `BagRecipe`.
    draw
        Number of the dataset, the seed of everything.
    """
    shared, tissue, *own = np.random.SeedSequence(draw).spawn(2 + recipe.bags)
    infos = _infos(recipe, np.random.default_rng(shared))
    space = _Space.draw(recipe, np.random.default_rng(tissue))
    drawn = [
        _bag(recipe, space, info, np.random.default_rng(seed))
        for info, seed in zip(infos, own, strict=True)
    ]
    return SimulatedBags(
        Cohort.of(InMemoryBags([bag.features for bag in drawn]), infos),
        tuple(bag.phenotype for bag in drawn),
        tuple(bag.is_easy for bag in drawn),
    )


def fingerprint(simulated: SimulatedBags) -> str:
    """Return the sha256 of all features, truths, labels, patients and sites, in their order.

    Features are drawn in float64 and rounded to float32 once, so that another library of linear
    algebra, which differs in the last bits, gives the same bytes for a small cohort but for one
    chance in ten thousand.
    """
    digest = hashlib.sha256()
    for bag, info in enumerate(simulated.cohort.infos):
        digest.update(f"{info.case}\0{info.patient}\0{info.label}\0{info.site}\0".encode())
        digest.update(simulated.cohort.rows(bag).numpy().astype("<f4").tobytes())
        digest.update(simulated.phenotype[bag].numpy().tobytes())
        digest.update(simulated.is_easy[bag].numpy().tobytes())
    return digest.hexdigest()


def spec_bags(*, dim: int = 1024) -> SimulatedBags:
    """Return the 60 bags on which the figures of the released codes were taken.

    One phenotype, no sites, each bag a patient; 150 to 499 instances, 2 to 10 % tumour in every
    second bag. ``default_rng(7)`` with its draws in a fixed order: basis, centres, direction,
    projection, then bag by bag.

    Parameters
    ----------
    dim
        1024, or 512 for the random projection of the same bags.

    Raises
    ------
    RefusedInputError
        Another length.
    """
    if dim not in (512, 1024):
        msg = f"dim got {dim}; allowed: 1024, or 512 for the projected bags."
        raise RefusedInputError(msg)
    rng = np.random.default_rng(7)
    basis = np.linalg.qr(rng.normal(size=(1024, 24)))[0].T
    centres = 2 * rng.normal(size=(8, 24))
    tumour = rng.normal(size=24)
    tumour /= np.linalg.norm(tumour)
    projection = rng.normal(size=(1024, 512)) / 32
    bags, phenotypes, easies = [], [], []
    for number in range(60):
        size = int(rng.integers(150, 500))
        z = centres[rng.integers(0, 8, size)] + rng.normal(size=(size, 24))
        phenotype, is_easy = np.zeros(size, np.int8), np.zeros(size, bool)
        if number % 2:
            count = max(2, int(size * rng.uniform(0.02, 0.10)))
            which = rng.choice(size, count, replace=False)
            phenotype[which], is_easy[which] = 1, rng.random(count) < 0.3
            z += (2.5 * phenotype + 2.5 * is_easy)[:, None] * tumour
        x = z @ basis + 0.05 * rng.normal(size=(size, 1024)) + 0.3
        x = x if dim == 1024 else x @ projection
        bags.append(torch.from_numpy(x.astype(np.float32)))
        phenotypes.append(torch.from_numpy(phenotype))
        easies.append(torch.from_numpy(is_easy))
    infos = [
        BagInfo(case=f"case-{n:02}", patient=f"patient-{n:02}", label=n % 2) for n in range(60)
    ]
    return SimulatedBags(Cohort.of(InMemoryBags(bags), infos), tuple(phenotypes), tuple(easies))


@dataclass(frozen=True, eq=False)
class _Space:
    """Where tissue lies and what shifts it."""

    basis: np.ndarray
    centres: np.ndarray
    tumour: np.ndarray
    sites: np.ndarray
    patients: np.ndarray

    @classmethod
    def draw(cls, recipe: BagRecipe, rng: np.random.Generator) -> "_Space":
        basis, upper = np.linalg.qr(rng.normal(size=(recipe.dim, recipe.subspace)))
        return cls(
            (basis * np.sign(np.diag(upper))).T,  # libraries differ in these signs
            recipe.spread * rng.normal(size=(recipe.centres, recipe.subspace)),
            _directions(1, recipe.subspace, rng)[0],
            recipe.site_shift * _directions(recipe.sites, recipe.subspace, rng),
            recipe.patient_shift * _directions(recipe.bags, recipe.subspace, rng),
        )


@dataclass(frozen=True, eq=False)
class _Bag:
    features: Float[Tensor, "instances dim"]
    phenotype: Int8[Tensor, " instances"]
    is_easy: Bool[Tensor, " instances"]


def _bag(recipe: BagRecipe, space: _Space, info: BagInfo, rng: np.random.Generator) -> _Bag:
    size = int(rng.integers(*recipe.instances))
    centre = rng.integers(0, recipe.centres, size)
    z = space.centres[centre] + rng.normal(size=(size, recipe.subspace))
    outside = 0.05 * rng.normal(size=(size, recipe.dim)) + 0.3
    phenotype, is_easy = _tumour(recipe, size, rng)
    if not info.label:
        phenotype, is_easy = np.zeros_like(phenotype), np.zeros_like(is_easy)
    length = np.where(is_easy, recipe.easy_shift, recipe.hard_shift) * phenotype
    z += length[:, None] * space.tumour
    z += space.sites[_number(info.site)] + space.patients[_number(info.patient)]
    features = (z @ space.basis + outside).astype(np.float32)
    return _Bag(*(torch.from_numpy(part) for part in (features, phenotype, is_easy)))


def _tumour(
    recipe: BagRecipe, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the phenotype of each instance and whether it is easy, as if the bag were positive."""
    share, mixing, kind, hard = rng.random(4)
    least, most = recipe.witness
    count = max(2, int(size * (least + share * (most - least))))
    is_tumour = rng.permutation(size) < count
    either = np.where(rng.random(size) < 0.5, 1, -1)
    one = 1 if kind < recipe.common else -1
    phenotype = either if mixing < recipe.mixed else np.full(size, one)
    is_easy = is_tumour & (rng.random(size) < (recipe.easy if hard >= recipe.hard_only else 0))
    return (phenotype * is_tumour).astype(np.int8), is_easy


def _infos(recipe: BagRecipe, rng: np.random.Generator) -> list[BagInfo]:
    """Return who is who: patients in random order, sites of one size, labels balanced as asked."""
    patients = max(round(recipe.bags / (1 + recipe.two_cases)), (recipe.bags + 1) // 2)
    has_two = rng.permutation(patients) < recipe.bags - patients
    site = rng.permutation(patients) % recipe.sites
    label = np.zeros(patients, int)
    for number in range(recipe.sites):
        here = rng.permutation(np.flatnonzero(site == number))
        share = (1 + (-1) ** number * recipe.site_label_association) / 2
        # an odd patient out goes to one side or the other by chance, or all sites would lean
        label[here[: int(share * len(here) + rng.random())]] = 1
    owner = np.repeat(np.arange(patients), 1 + has_two)
    return [
        BagInfo(
            case=f"case-{number:03}",
            patient=f"patient-{patient:03}",
            label=int(label[patient]),
            site=f"site-{site[patient]}",
        )
        for number, patient in enumerate(owner)
    ]


def _directions(count: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal(size=(count, dim))
    directions: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions


def _number(name: str | None) -> int:
    assert name is not None  # noqa: S101  what _infos wrote
    return int(name.rpartition("-")[2])
