"""What a run says of itself, step by step: metrics.jsonl, metrics.csv and TensorBoard."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._extras import require
from medconsist.errors import CorruptResultError

__all__ = ["MetricsLog", "first_not_finite", "metrics_table", "read_rows"]

Row = dict[str, float]


class MetricsLog:
    """Rows of one run, appended as they come; opening it again drops what lies after a step.

    ``metrics.jsonl`` holds one object a row and is the truth; ``tensorboard/`` shows the same
    scalars. A line that a killed process left half-written is dropped.

    Parameters
    ----------
    folder
        The run folder.
    after
        Step of the checkpoint that the run goes on from, 0 at the start.

    Raises
    ------
    StorageError
        The disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with MetricsLog(folder, after=0) as record:
    ...     record.add(1, {"loss": 0.5})
    >>> read_rows(folder / "metrics.jsonl")
    [{'step': 1, 'loss': 0.5}]
    """

    def __init__(self, folder: Path, *, after: int) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [row for row in read_rows(self.path) if row["step"] <= after]
        atomic_write_bytes(self.path, b"".join(_line(row) for row in kept))
        writer = require("torch.utils.tensorboard", extra="train").SummaryWriter
        with storage_errors(folder / "tensorboard"):
            self._board: Any = writer(str(folder / "tensorboard"), purge_step=after + 1)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, step: int, values: Row) -> None:
        """Append one row; values are finite."""
        line = _line({"step": step, **values})
        with storage_errors(self.path):
            with self.path.open("ab") as file:
                file.write(line)
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's file; nothing may be added afterwards."""
        with storage_errors(self.path.parent / "tensorboard"):
            self._board.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a ``metrics.jsonl``, in the order of writing; [] without a file.

    Raises
    ------
    CorruptResultError
        A line is not a row, as a loss of power may leave it.
    """
    if not path.exists():
        return []
    with storage_errors(path, doing="read"):
        lines = path.read_bytes().split(b"\n")
    # what follows the last newline was cut off by a kill
    try:
        rows = [json.loads(line) for line in lines[:-1]]
        damaged = not all(
            isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows
        )
    except ValueError:
        damaged = True
    if damaged:
        msg = f"{path} holds a line that is no row. Remove that line to go on."
        raise CorruptResultError(msg)
    return rows


def metrics_table(rows: list[dict[str, Any]]) -> bytes:
    r"""Return rows as CSV: the step, then one column a name; empty where not measured.

    Examples
    --------
    >>> metrics_table([{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "val_loss": 1.0}])
    b'step,loss,val_loss\n1,0.5,\n2,0.25,1.0\n'
    """
    columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def first_not_finite(values: Row) -> str | None:
    """Return the name of the first value that is not finite."""
    return next((name for name, value in values.items() if not math.isfinite(value)), None)


def _line(row: Mapping[str, float | int]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"
