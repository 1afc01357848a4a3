"""A split of patients as somebody published it: who was trained on, and who was judged."""

from collections import Counter
from typing import Annotated

from pydantic import Field, model_validator

from medconsist._records import Record
from medconsist.manifests.split_record import PARTS, PartName

__all__ = ["PublishedSplit"]


class PublishedSplit(Record):
    """Patients of each part, by the numbers that a data set was published with.

    Parameters
    ----------
    name
        Of those who published it, in a word.
    source
        Where it stands.
    verified
        Whether that source was read for these numbers; else they are from memory or hearsay.
    train, validation, test
        Patients.
    unused
        Patients of the data set who are in no part.
    positive
        All patients of the positive class, so that labels that have slipped by a patient show.
    windows
        How many each part was published with.

    Raises
    ------
    ValueError
        A patient is in two places or twice in one, nobody is trained on or judged, or a positive
        patient is in none.

    Examples
    --------
    >>> one = PublishedSplit(name="they", source="paper", verified=False, train=(1, 3), test=(2,))
    >>> one.part("train"), one.part("validation")
    (('1', '3'), ())
    """

    name: str
    source: str
    verified: bool
    train: tuple[int, ...]
    validation: tuple[int, ...] = ()
    test: tuple[int, ...]
    unused: tuple[int, ...] = ()
    positive: tuple[int, ...] = ()
    windows: dict[PartName, Annotated[int, Field(ge=1)]] = {}  # noqa: RUF012  a frozen record's

    def part(self, name: PartName) -> tuple[str, ...]:
        """Return the patients of a part, as ids."""
        numbers = {"train": self.train, "validation": self.validation, "test": self.test}[name]
        return tuple(map(str, numbers))

    @property
    def text(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{len(self.part(name))} {name}" for name in PARTS if self.part(name))
        doubt = "" if self.verified else "not verified: "
        return f"{doubt}split {self.name}: patients {counts} ({self.source})"

    @model_validator(mode="after")
    def _nobody_twice(self) -> "PublishedSplit":
        placed = (*self.train, *self.validation, *self.test, *self.unused)
        twice = sorted(number for number, count in Counter(placed).items() if count > 1)
        strangers = sorted(set(self.positive) - set(placed))
        fault = ""
        if twice:
            fault = f"patient {twice[0]} is in two places"
        elif strangers:
            fault = f"patient {strangers[0]} is positive and in no part"
        elif not self.train or not self.test:
            fault = "nobody is trained on, or nobody is judged"
        if fault:
            msg = f"split {self.name}: {fault}"
            raise ValueError(msg)
        return self
