"""What is done to a case: three small classes that a domain fills and every engine runs."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._ids import safe_id

__all__ = ["Case", "Finished", "Work", "Worker", "file_case"]

_LONGEST = 100  # of the readable part of an id, so that a hash still fits behind it


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of work, as plain as JSON, so that it can travel to any machine.

    Parameters
    ----------
    id
        Unique in the batch and the same in every run of it; a safe file name.
    spec
        What the worker needs, plain JSON values. By ``case``, ``item`` and ``config_sha256`` the
        result is found in the study; all that decides it should be here or in a digest.
    size
        Bytes of the input; big cases go first.
    input
        The file that is read.
    one_file
        Whether that is all of the input, so that an engine may copy it to a faster disk.
    copy
        Where an engine has put a copy of it; see `source`.

    Raises
    ------
    RefusedInputError
        The id is no safe name.

    Examples
    --------
    >>> Case(id="c7", input="/slides/c7.svs", copy="/fast/1.svs").source
    PosixPath('/fast/1.svs')
    """

    id: str
    spec: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    input: str = ""
    one_file: bool = False
    copy: str = ""

    def __post_init__(self) -> None:
        safe_id(self.id, what="id of a case in a batch")

    @property
    def source(self) -> Path:
        """The file to read: the copy where there is one."""
        return Path(self.copy or self.input)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all but the copy: a failure of another digest is forgotten."""
        # A name on the disk need not be UTF-8.
        place = os.fsencode(self.input).decode(errors="backslashreplace")
        return sha256_of_bytes(canonical_json([self.id, self.spec, self.size, place]))


def file_case(
    path: Path,
    *,
    case: str,
    item: str | None,
    config: Mapping[str, Any],
    spec: Mapping[str, Any],
    one_file: bool = False,
) -> Case:
    """Return the case of one file, with an id that no other file has, and this one in every run.

    Parameters
    ----------
    path
        The input; that it is missing is for the worker to say.
    case, item
        Where the result goes; an item of None is all of its case.
    config
        Of the result; with another one, or another time of change, earlier failures do not count.
    spec
        What else the worker needs.
    one_file
        See `Case`.

    Examples
    --------
    >>> file_case(Path("/a/1.svs"), case="p7", item="slide-1", config={}, spec={}).id
    'p7--slide-1-81eeba26'
    """
    place = str(path.absolute())
    name = case if item in (None, case) else f"{case}--{item}"
    facts = path.stat() if path.is_file() else None
    # Items of one file would be alike where a long name is cut before they differ.
    apart = place if len(name) <= _LONGEST else f"{place}\n{name}"
    return Case(
        id=f"{name[:_LONGEST]}-{sha256_of_bytes(os.fsencode(apart))[:8]}",
        spec={
            **spec,
            "case": case,
            "item": item,
            "config_sha256": sha256_of_bytes(canonical_json(config)),
            "changed_ns": None if facts is None else facts.st_mtime_ns,
        },
        size=0 if facts is None else facts.st_size,
        input=place,
        one_file=one_file and facts is not None,
    )


@dataclass(frozen=True)
class Finished:
    """What a worker made of a case.

    Parameters
    ----------
    key
        Of the result.
    items
        How many tiles, slices or windows it holds, for the rate.
    fresh
        False if the result was there and nothing was computed.

    Examples
    --------
    >>> Finished("0" * 64, items=12).fresh
    True
    """

    key: str
    items: int = 1
    fresh: bool = True


class Worker(ABC):
    """Lives in one process and keeps its model loaded between cases.

    Examples
    --------
    >>> class Length(Worker):
    ...     def run(self, case):
    ...         return Finished(str(case.size))
    >>> Length().run(Case(id="c7", size=3)).key
    '3'
    """

    @abstractmethod
    def run(self, case: Case) -> Finished:
        """Make the result of a case, whole and atomically, or find it done; raise otherwise.

        An error's ``reason`` is the class that is recorded; one without is ``failed``.
        """


class Work(ABC):
    """What is sent to every worker process: settings; no open file, no model, and small.

    Examples
    --------
    >>> class Nothing(Work):
    ...     def find(self, case):
    ...         return "0" * 64
    ...     def open(self, device):
    ...         raise NotImplementedError
    >>> Nothing().find(Case(id="c7"))[:4]
    '0000'
    """

    @abstractmethod
    def open(self, device: str) -> Worker:
        """Return a worker for this process; called once, and only if a case is to be computed."""

    @abstractmethod
    def find(self, case: Case) -> str | None:
        """Return the key of a finished result that verifies, else None; loads no model."""
