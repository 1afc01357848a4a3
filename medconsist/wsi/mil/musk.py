"""MUSK1: 92 molecules as bags of their shapes, the oldest real data of multiple-instance learning.

476 shapes of 166 features; 47 molecules are musks. Dietterich, Lathrop and Lozano-Perez, Artificial
Intelligence 89 (1997), doi:10.1016/S0004-3702(96)00034-3. With 92 bags one standard error of an
accuracy of 0.9 is 0.03: MUSK1 ranks no methods.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch

from medconsist._atomic import storage_errors
from medconsist.errors import CorruptInputError, MissingInputError
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags

__all__ = ["MUSK_CLASSES", "read_musk"]

MUSK_CLASSES = ("non-musk", "musk")
_FEATURES = 166
_MOST_BYTES = 2**24
_Row = tuple[str, int, list[float]]


def read_musk(path: Path) -> Cohort:
    """Return the molecules of one of the two files in which MUSK1 is passed on.

    Parameters
    ----------
    path
        ``musk1.data`` (C4.5: molecule, shape, 166 features, class with a full stop) or a ``.csv``
        of label, bag, 166 features without a header.

    Returns
    -------
    Cohort
        One case and patient a molecule, in the order of the file; whole numbers in
        float32 as they stand: standardise them by the training part alone.

    Raises
    ------
    MissingInputError
        There is no such file.
    CorruptInputError
        A row is not of that form, or a molecule has two classes; names the row.

    Examples
    --------
    ::

        read_musk(Path("musk1.data")).labels.sum()  # tensor(47)
    """
    if not path.is_file():
        msg = f"there is no {path}; name musk1.data of the UCI repository, or its table as .csv."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        data = path.read_bytes()[:_MOST_BYTES]
    lines = csv.reader(io.StringIO(data.decode("ascii", errors="replace")))
    table = path.suffix.lower() == ".csv"
    grouped: dict[str, tuple[int, list[list[float]]]] = {}
    for number, cells in enumerate(filter(None, lines), start=1):
        case, label, features = _read(path, number, cells, table=table)
        if grouped.setdefault(case, (label, []))[0] != label:
            raise _corrupt(path, number, f"molecule {case} has two classes")
        grouped[case][1].append(features)
    if not grouped:
        raise _corrupt(path, 1, "the file is empty")
    bags = InMemoryBags([torch.tensor(rows) for _, rows in grouped.values()])
    infos = [BagInfo(case=case, patient=case, label=label) for case, (label, _) in grouped.items()]
    return Cohort.of(bags, infos, classes=MUSK_CLASSES)


def _read(path: Path, number: int, cells: Sequence[str], *, table: bool) -> _Row:
    """Return molecule, class and features of a row."""
    if len(cells) != _FEATURES + (2 if table else 3):
        fault = f"got {len(cells)} cells, which are not {_FEATURES} features"
        raise _corrupt(path, number, fault)
    label, name = (cells[0], f"bag-{cells[1]}") if table else (cells[-1].strip("."), cells[0])
    features = cells[2:] if table else cells[2:-1]
    try:
        values = [float(cell) for cell in features]
        return name, int(float(label) > 0), values
    except ValueError as error:
        raise _corrupt(path, number, str(error)) from error


def _corrupt(path: Path, number: int, fault: str) -> CorruptInputError:
    msg = f"{path} row {number}: {fault}. Is it MUSK1, whole? Get it again."
    return CorruptInputError(msg)
