"""Labelled bags, one a case: what training is given, and nothing of the truth of single tiles."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError

__all__ = ["BagInfo", "BagSource", "Cohort", "InMemoryBags"]


@dataclass(frozen=True, kw_only=True)
class BagInfo:
    """What is known of a bag beside its instances.

    Parameters
    ----------
    case
        Opaque id, unique in a cohort.
    patient
        Opaque id; the unit of splits and of analysis.
    label
        Number of its class; None where it is not known, or sealed.
    site
        Where it comes from; None where that is not known.

    Examples
    --------
    >>> BagInfo(case="c1", patient="p1", label=1).site is None
    True
    """

    case: str
    patient: str
    label: int | None = None
    site: str | None = None


class BagSource(ABC):
    """Bags by number; rows are read when they are asked for.

    There is no way to the truth of an instance here: evaluation gets it separately.
    """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a feature."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of bags."""

    @abstractmethod
    def instances(self, bag: int) -> int:
        """Return how many instances a bag has, at least 1."""

    @abstractmethod
    def rows(
        self, bag: int, which: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n_or_all dim"]:
        """Return features of these instances, or of all, on the CPU as they are stored."""


class InMemoryBags(BagSource):
    """Bags that are in memory already.

    Parameters
    ----------
    bags
        One tensor a bag, of one feature length; no bag is empty, no value is NaN.

    Raises
    ------
    RefusedInputError
        No bag, an empty one, several feature lengths, or a value that is not finite.

    Examples
    --------
    >>> InMemoryBags([torch.zeros(2, 4), torch.ones(3, 4)]).rows(1, torch.tensor([0])).shape
    torch.Size([1, 4])
    """

    def __init__(self, bags: Sequence[Float[Tensor, "_ dim"]]) -> None:
        dims = {bag.shape[1] for bag in bags}
        bad = [number for number, bag in enumerate(bags) if not bool(bag.isfinite().all())]
        empty = [number for number, bag in enumerate(bags) if not len(bag)]
        if len(dims) != 1 or bad or empty:
            msg = (
                f"got {len(bags)} bags with features of the lengths {sorted(dims)}; the bags "
                f"{empty[:5]} are empty and {bad[:5]} hold NaN or infinity. Give one or more bags "
                "of one encoder, each with instances; leave the others out."
            )
            raise RefusedInputError(msg)
        self._bags = tuple(bags)

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self._bags[0].shape[1]

    def __len__(self) -> int:
        """Return the number of bags."""
        return len(self._bags)

    def instances(self, bag: int) -> int:
        """Return how many instances a bag has."""
        return len(self._bags[bag])

    def rows(
        self, bag: int, which: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n_or_all dim"]:
        """Return features of these instances, or of all."""
        return self._bags[bag] if which is None else self._bags[bag][which]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Bags with what is known of them; a part of a cohort is one too, over the same source.

    Parameters
    ----------
    source
        Where the instances are.
    numbers
        The bags of this cohort, by their number in ``source``.
    infos
        One for each of them.
    classes
        Names of the classes, in the order of the labels.

    Raises
    ------
    RefusedInputError
        No bag, a case or a bag twice, a bag that is not in the source, or a label that is none of
        the classes.

    Examples
    --------
    >>> source = InMemoryBags([torch.zeros(2, 4), torch.ones(3, 4)])
    >>> infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=n) for n in range(2)]
    >>> Cohort.of(source, infos, classes=("normal", "tumour")).labels.tolist()
    [0, 1]
    """

    source: BagSource
    numbers: tuple[int, ...]
    infos: tuple[BagInfo, ...]
    classes: tuple[str, ...] = ("negative", "positive")

    def __post_init__(self) -> None:
        cases = [info.case for info in self.infos]
        twice = sorted(case for case, count in Counter(cases).items() if count > 1)
        wrong = [
            info.case
            for info in self.infos
            if info.label is not None and not 0 <= info.label < len(self.classes)
        ]
        numbers = set(self.numbers)
        strange = len(numbers) < len(self.numbers) or not numbers <= set(range(len(self.source)))
        if not cases or len(cases) != len(self.numbers) or twice or wrong or strange:
            msg = (
                f"got {len(self.numbers)} bags and {len(cases)} cases, twice: {twice[:5]}, with "
                f"labels other than 0 to {len(self.classes) - 1}: {wrong[:5]}. A cohort needs one "
                f"or more of the {len(self.source)} bags of its source, each of its own case."
            )
            raise RefusedInputError(msg)

    @classmethod
    def of(
        cls,
        source: BagSource,
        infos: Sequence[BagInfo],
        *,
        classes: Sequence[str] = ("negative", "positive"),
    ) -> "Cohort":
        """Return all bags of a source, in its order."""
        return cls(source, tuple(range(len(source))), tuple(infos), tuple(classes))

    def __len__(self) -> int:
        """Return the number of bags."""
        return len(self.numbers)

    @property
    def labels(self) -> Int64[Tensor, " bags"]:
        """Number of the class of each bag.

        Raises
        ------
        RefusedInputError
            A label is missing; names the cases.
        """
        missing = [info.case for info in self.infos if info.label is None]
        if missing:
            msg = (
                f"{len(missing)} of {len(self)} cases have no label here, the first is "
                f"{missing[0]!r}: it is missing in the manifest, or sealed as part of the test set."
            )
            raise RefusedInputError(msg)
        return torch.tensor([info.label for info in self.infos])

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each bag."""
        return tuple(info.patient for info in self.infos)

    @property
    def cases_sha256(self) -> str:
        """The sha256 of the cases, whatever their order and labels."""
        return sha256_of_bytes(canonical_json(sorted(info.case for info in self.infos)))

    def part(self, bags: Sequence[int]) -> "Cohort":
        """Return the cohort of these bags, by their number in this one."""
        return Cohort(
            self.source,
            tuple(self.numbers[bag] for bag in bags),
            tuple(self.infos[bag] for bag in bags),
            self.classes,
        )

    def of_cases(self, cases: Sequence[str]) -> "Cohort":
        """Return the cohort of these cases, in the order of this one.

        Raises
        ------
        RefusedInputError
            A case is not here.
        """
        known = {info.case for info in self.infos}
        unknown = sorted(set(cases) - known)
        if unknown:
            msg = f"{len(unknown)} cases are not in this cohort, the first is {unknown[0]!r}."
            raise RefusedInputError(msg)
        wanted = set(cases)
        return self.part([n for n, info in enumerate(self.infos) if info.case in wanted])

    def instances(self, bag: int) -> int:
        """Return how many instances a bag has."""
        return self.source.instances(self.numbers[bag])

    def rows(
        self, bag: int, which: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n_or_all dim"]:
        """Return features of a bag's instances, as they are stored."""
        return self.source.rows(self.numbers[bag], which)
