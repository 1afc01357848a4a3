"""A result in the making: written in a hidden folder, sealed, then renamed into place."""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, Unpack

import numpy.typing as npt

from medconsist._atomic import make_folder, storage_errors, sweep, sync, sync_tree, write_new
from medconsist._digests import sha256_of_path
from medconsist._ids import safe_id
from medconsist._records import make_record
from medconsist._writers import writer_tag
from medconsist.errors import CorruptResultError, RefusedInputError, StorageError
from medconsist.results.arrays import write_array
from medconsist.results.folder import RESULT_NAME, ResultFolder
from medconsist.results.ids import safe_role
from medconsist.results.schema import (
    Affine,
    ArrayRecord,
    Place,
    Result,
    ResultFields,
    read_result,
    sealed_bytes,
)

__all__ = ["ArrayFacts", "Draft", "refuse_corrupt"]

_PREFIX = ".draft-"
_KINDS = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".safetensors": "safetensors",
    ".geojson": "geojson",
}
_LOGGER = logging.getLogger(__name__)


class ArrayFacts(TypedDict, total=False):
    """What may be known about an array; what is left out is unknown.

    Examples
    --------
    >>> ArrayFacts(unit="a.u.", spacing_mm=(None, 1.0, 1.0))["unit"]
    'a.u.'
    """

    unit: str | None
    spacing_mm: Sequence[float | None] | None
    orientation: Affine | None
    description: str
    method: str | None
    place: Place | None


class Draft:
    """A result that nobody can see yet; leaving the block without ``finish`` removes it.

    Made by ``ResultStore.draft``. A killed job leaves a hidden folder only, which the next draft
    of the same case removes.

    Parameters
    ----------
    target
        Where the finished result will lie.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> target = ResultFolder(Path(tempfile.mkdtemp()), study="s", case="c", key="0" * 64)
    >>> with Draft(target) as draft:
    ...     record = draft.add_array("cs", np.zeros((2, 3)), axes=("height", "width"))
    ...     draft.discard()
    """

    def __init__(self, target: ResultFolder) -> None:
        self._target = target
        self.folder = target.path.parent / f"{_PREFIX}{writer_tag()}"
        self._arrays: list[ArrayRecord] = []
        self._ended = False

    def __enter__(self) -> "Draft":
        """Make the hidden folder and remove those of dead writers."""
        make_folder(self.folder.parent)
        sweep(self.folder.parent, f"{_PREFIX}*")
        with storage_errors(self.folder):
            self.folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the hidden folder unless it was finished."""
        if self._ended:
            return
        self.discard()
        if error is None:
            msg = f"The draft of {self._target.path} ended without finish(); nothing was stored."
            raise StorageError(msg)

    def add_array(
        self,
        role: str,
        array: npt.NDArray[Any],
        *,
        axes: Sequence[str],
        **facts: Unpack[ArrayFacts],
    ) -> ArrayRecord:
        """Write an array as ``<role>.zarr``.

        Parameters
        ----------
        role
            E.g. ``"reconstruction"``; a role is taken once.
        array
            Bool, integer, float or complex, stored bit for bit.
        axes
            One name for each axis, e.g. ``("slices", "height", "width")``.
        **facts
            ``unit``, ``spacing_mm``, ``orientation``, ``description``, ``method``, ``place``
            of :class:`ArrayRecord`.

        Raises
        ------
        RefusedInputError
            If the role is taken or unsafe, or axes, spacing and shape do not fit each other.
        StorageError
            If the disk is full or not writable.
        """
        record = self._plan(
            role=safe_role(role),
            path=f"{role}.zarr",
            kind="zarr",
            axes=tuple(axes),
            shape=array.shape,
            dtype=array.dtype.name,
            **facts,
        )
        return self._write(record, lambda path: write_array(path, array, axes=axes))

    def add_file(
        self,
        role: str,
        path_name: str,
        write: Callable[[Path], None],
        *,
        axes: Sequence[str],
        shape: Sequence[int],
        dtype: str,
        **facts: Unpack[ArrayFacts],
    ) -> ArrayRecord:
        """Let ``write`` make a NIfTI, safetensors or GeoJSON file of that name, and record it.

        Parameters
        ----------
        role
            E.g. ``"reconstruction_nifti"``; a role is taken once.
        path_name
            File name that ends with ``.nii``, ``.nii.gz``, ``.safetensors`` or ``.geojson``.
        write
            Called with the path to write to.
        axes, shape, dtype
            Of what the file holds.
        **facts
            ``unit``, ``spacing_mm``, ``orientation``, ``description``, ``method``, ``place``
            of :class:`ArrayRecord`.

        Raises
        ------
        RefusedInputError
            If the role is taken, or the name unsafe or of an unknown kind.
        StorageError
            If the disk is full or not writable.
        """
        kind = next((k for end, k in _KINDS.items() if path_name.endswith(end)), None)
        if kind is None:
            msg = f"The file {path_name!r} is of no known kind; allowed are {', '.join(_KINDS)}."
            raise RefusedInputError(msg)
        record = self._plan(
            role=safe_role(role),
            path=safe_id(path_name, what="file name"),
            kind=kind,
            axes=tuple(axes),
            shape=tuple(shape),
            dtype=dtype,
            **facts,
        )
        return self._write(record, write)

    def finish(self, fields: ResultFields) -> Result:
        """Seal the result and put it in place; of two writers of one key the first one wins.

        Parameters
        ----------
        fields
            What the job says; its key must be the key of this draft.

        Returns
        -------
        Result
            What is stored now: this result, or the equal-keyed one of a faster writer.

        Raises
        ------
        RefusedInputError
            If inputs, config, model and version do not give the key of this draft.
        CorruptResultError
            If the key exists already and does not verify.
        StorageError
            If the disk is full or not writable; nothing half-written is left.
        """
        target = self._target
        if fields.key != target.key:
            msg = (
                f"The draft is for key {target.key}, but inputs, config, model and result_version "
                f"give {fields.key}. Make the key from the same values with result_key()."
            )
            raise RefusedInputError(msg)
        result = Result(
            **{name: getattr(fields, name) for name in ResultFields.model_fields},
            study=target.study,
            case=target.case,
            arrays=tuple(self._arrays),
        )
        data = sealed_bytes(result)
        with storage_errors(target.path):
            write_new(self.folder / RESULT_NAME, data)
            _make_read_only(self.folder)
            sync_tree(self.folder)
            return self._put_in_place(read_result(data, source=str(target.path)))

    def discard(self) -> None:
        """Remove the hidden folder; nothing is stored."""
        self._ended = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put_in_place(self, result: Result) -> Result:
        # rename() onto a folder with files in it fails, so that exactly one writer can win.
        try:
            self.folder.rename(self._target.path)
        except OSError:
            if not self._target.path.exists():
                raise
            return self._yield_to_the_first(result)
        self._ended = True
        sync(self._target.path.parent)
        return result

    def _yield_to_the_first(self, mine: Result) -> Result:
        self.discard()
        refuse_corrupt(self._target)
        stored = self._target.read()
        if stored.kind != mine.kind:
            msg = (
                f"{self._target.path} holds a {stored.kind!r}, not a {mine.kind!r}: two tasks made "
                "the same key. Name the task in the config."
            )
            raise RefusedInputError(msg)
        _LOGGER.info("%s was finished by another writer; this draft is dropped", self._target.path)
        return stored

    def _plan(self, **values: Any) -> ArrayRecord:  # noqa: ANN401  checked by the record
        if values.get("spacing_mm") is not None:
            values["spacing_mm"] = tuple(values["spacing_mm"])
        record = make_record(ArrayRecord, sha256="0" * 64, **values)
        taken = {old.role for old in self._arrays} | {old.path for old in self._arrays}
        if record.role in taken or record.path in taken:
            msg = f"The role {record.role!r} or the file {record.path!r} is taken in this result."
            raise RefusedInputError(msg)
        return record

    def _write(self, plan: ArrayRecord, write: Callable[[Path], None]) -> ArrayRecord:
        path = self.folder / plan.path
        with storage_errors(self._target.path / plan.path):
            write(path)
            record = plan.model_copy(update={"sha256": sha256_of_path(path)})
        self._arrays.append(record)
        return record


def refuse_corrupt(target: ResultFolder) -> None:
    """Raise with the first fault if the result does not verify.

    Raises
    ------
    CorruptResultError
        Names the file and says how to set the result aside.
    """
    problems = target.problems()
    if problems:
        msg = f"{problems[0]} {target.advice}"
        raise CorruptResultError(msg)


def _make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & ~0o222)  # reading stays as the umask left it
