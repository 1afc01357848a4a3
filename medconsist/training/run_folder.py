"""The folder of one training run: whose it is, how far it came, and when it is done."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._digests import canonical_json, sha256_of_path
from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.training.metrics_log import metrics_table, read_rows

__all__ = ["RunFolder", "differing"]

_SHOWN = 3


class RunFolder:
    """Names of a run's files, and the rules under which they are written.

    ::

        recipe.json            resolved recipe and settings; the folder belongs to them
        environment.json       software, as of the first start
        metrics.jsonl          one row a step, appended; metrics.csv is the same as a table
        tensorboard/           the same scalars
        checkpoints/last.ckpt  all that going on needs, replaced atomically
        weights.safetensors    at the end only
        run.json               last of all, atomically: without it the run is not done

    Parameters
    ----------
    path
        The folder; it need not exist.

    Examples
    --------
    >>> RunFolder(Path("runs/first")).checkpoint.name
    'last.ckpt'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.json"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.table = path / "metrics.csv"
        self.checkpoint = path / "checkpoints" / "last.ckpt"
        self.weights = path / "weights.safetensors"
        self.summary = path / "run.json"

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end."""
        return self.summary.is_file()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process out of the folder while the block runs; a kill lets go of it.

        Raises
        ------
        RefusedInputError
            Another process trains here.
        StorageError
            The folder cannot be made or written.
        """
        make_folder(self.path)
        with storage_errors(self.path):
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def start(self, recipe: Mapping[str, Any], *, resume: bool) -> None:
        """Make the folder this run's own, or refuse it.

        Parameters
        ----------
        recipe
            The resolved recipe, plain JSON.
        resume
            Whether an unfinished run may go on.

        Raises
        ------
        RefusedInputError
            The folder belongs to another recipe (names what differs), holds an unfinished run and
            ``resume`` is False, or holds other files.
        StorageError
            The folder cannot be made or written.
        """
        make_folder(self.path)
        if self.recipe.is_file():
            self._require_same(recipe)
            if not (self.is_done or resume):
                msg = (
                    f"{self.path} holds an unfinished run. Go on with it (resume) or choose "
                    "another folder."
                )
                raise RefusedInputError(msg)
            return
        self._require_empty()
        make_folder(self.checkpoint.parent)
        self._write_environment()
        atomic_write_bytes(self.recipe, _pretty(recipe))

    def write_table(self) -> None:
        """Bring ``metrics.csv`` up to the rows so far."""
        atomic_write_bytes(self.table, metrics_table(read_rows(self.metrics)))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write ``run.json``: the run is done."""
        self.write_table()
        atomic_write_bytes(self.summary, _pretty(summary))

    def read_summary(self) -> dict[str, Any]:
        """Return ``run.json`` after the weights were checked against it.

        Raises
        ------
        CorruptResultError
            The weights are missing or differ from their recorded sha256.
        """
        summary = _read_json(self.summary)
        if sha256_of_path(self.weights) != summary.get("weights_sha256"):
            msg = f"{self.weights} is not what {self.summary.name} recorded. Train it again."
            raise CorruptResultError(msg)
        return summary

    def _lock(self, descriptor: int) -> None:
        with storage_errors(self.path):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = (
                    f"Another process trains in {self.path}. Wait for it or choose another folder."
                )
                raise RefusedInputError(msg) from error

    def _write_environment(self) -> None:
        # pydantic, which this needs, is the only import here that a bare GPU node may lack
        from medconsist.results.environment import environment

        atomic_write_bytes(self.environment, _pretty(environment().model_dump(mode="json")))

    def _require_same(self, recipe: Mapping[str, Any]) -> None:
        held, given = dict(_leaves(_read_json(self.recipe))), dict(_leaves(recipe))
        if differ := differing(held, given):
            shown = [f"{k}: {held.get(k, '-')!r} there, {given.get(k, '-')!r} now" for k in differ]
            more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
            msg = (
                f"{self.path} belongs to another recipe: {'; '.join(shown[:_SHOWN])}{more}. "
                "Choose another folder."
            )
            raise RefusedInputError(msg)

    def _require_empty(self) -> None:
        # A start that was killed leaves these before recipe.json, and nothing else.
        ours = {".lock", self.environment.name, self.checkpoint.parent.name}
        with storage_errors(self.path, doing="read"):
            names = sorted(path.name for path in self.path.iterdir())
        others = [name for name in names if name not in ours and not name.endswith(".tmp")]
        if others:
            msg = (
                f"{self.path} is no run folder and holds {', '.join(others[:_SHOWN])}. "
                "Choose an empty folder."
            )
            raise RefusedInputError(msg)


def _pretty(value: Mapping[str, Any]) -> bytes:
    return (
        json.dumps(json.loads(canonical_json(value)), indent=1, ensure_ascii=False).encode() + b"\n"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with storage_errors(path, doing="read"):
            value = json.loads(path.read_bytes())
    except ValueError as error:
        msg = f"{path} is not JSON any more: {error}. Choose another folder for this run."
        raise CorruptResultError(msg) from error
    if not isinstance(value, dict):
        msg = f"{path} holds no JSON object. Choose another folder for this run."
        raise CorruptResultError(msg)
    return value


def differing(held: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the names of what differs between two recipes, those of inner values with a dot.

    Examples
    --------
    >>> differing({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
    ['a.b']
    """
    first, second = dict(_leaves(held)), dict(_leaves(given))
    return [key for key in {**first, **second} if first.get(key, "-") != second.get(key, "-")]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  any JSON
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}" if place else str(key))
    else:
        yield place, value
