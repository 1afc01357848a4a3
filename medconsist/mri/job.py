"""One k-space file to reconstruct, and the key of its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medconsist._digests import sha256_of_path
from medconsist._ids import safe_id
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.cfl import cfl_pair
from medconsist.mri.formats.files import require_file
from medconsist.mri.readers import DEFAULT_BUDGET_BYTES
from medconsist.mri.settings import Reconstruction
from medconsist.results.digests import result_key

__all__ = ["RESULT_VERSION", "Job"]

RESULT_VERSION = 1  # raise it when the arrays or scores of the same input and settings change


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to reconstruct, and where the result goes.

    Parameters
    ----------
    input, mask, maps
        Files; mask and maps may be None.
    out, study, case, patient, item
        The result is ``out/study/case/<key>``; ids are opaque. The case is by default the name of
        the file, the patient that of the case's other results, else the case. The item is by
        default the frame, if one was asked for.
    reconstruction
        See its class.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    budget_bytes
        Most bytes that the header of an input may claim for its samples.
    frame
        Which time frame, echo or repetition of the file; None for a file that holds one.
    first_axis
        What the first axis of the file is, where the file does not say; see `read_kspace`.
    maps_frame
        Frame of the same file whose calibration makes coil maps and virtual coils, so that all
        echoes are combined alike and their phases differ by the object alone; None: its own.
    slab_bytes
        About how much memory the slices take that are computed together, beside the k-space of
        the volume; None: 512 MiB on a CPU, 4 GiB on a GPU. No matter for the result but for
        rounding.

    Raises
    ------
    RefusedInputError
        An id is not a safe name, maps, or a frame for them, are given to a reconstruction that
        would not use them as they are, or slabs of no bytes.
    """

    input: Path
    out: Path
    reconstruction: Reconstruction
    mask: Path | None = None
    maps: Path | None = None
    study: str = "mri"
    case: str | None = None
    patient: str | None = None
    item: str | None = None
    device: str = "cpu"
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    frame: int | None = None
    first_axis: Literal["slices", "readout"] | None = None
    maps_frame: int | None = None
    slab_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.maps is not None:
            self.reconstruction.refuse_unused_maps()
        if self.maps_frame is not None:
            self._refuse_unused_frame()
        if self.slab_bytes is not None and self.slab_bytes < 1:
            msg = f"slab_bytes got {self.slab_bytes}; allowed: 1 or more, or None."
            raise RefusedInputError(msg)
        for what, value in {
            "study": self.study,
            "patient": self.patient,
            "item": self.item,
        }.items():
            if value is not None:
                safe_id(value, what=f"{what} id")
        try:
            safe_id(self.case_id, what="case id")
        except RefusedInputError as error:
            msg = f"{error} Give the case another name by --case NAME."
            raise RefusedInputError(msg) from error

    def _refuse_unused_frame(self) -> None:
        unused = "--maps" if self.maps is not None else None
        unused = "--combine rss" if self.reconstruction.combine == "rss" else unused
        if unused is not None:
            msg = (
                f"--maps-frame {self.maps_frame} says which frame coil maps are estimated from, "
                f"and {unused} estimates none; leave one of the two out."
            )
            raise RefusedInputError(msg)
        if self.frame is None:
            msg = (
                f"--maps-frame {self.maps_frame} is for a file of several frames; say by --frame "
                "which one is to be reconstructed."
            )
            raise RefusedInputError(msg)

    @property
    def case_id(self) -> str:
        """The case id: as given, else the name of the file without its suffix."""
        if self.case is not None:
            return self.case
        return self.input.name.removesuffix("".join(self.input.suffixes[-1:]))

    @property
    def item_id(self) -> str | None:
        """The item id: as given, else that of the frame; None if there is neither."""
        if self.item is not None or self.frame is None:
            return self.item
        return f"frame-{self.frame}"

    def key(self, digests: Mapping[str, str]) -> str:
        """Return the key of the result of files with these `input_digests`."""
        model = self.reconstruction.method.weights
        return result_key(
            inputs=digests,
            config=self.as_config(),
            model_sha256=None if model is None else model.sha256,
            result_version=RESULT_VERSION,
        )

    def as_config(self) -> dict[str, Any]:
        """Return what decides the bytes apart from the input, as plain JSON values."""
        # the keys of results without a choice stay what they were
        given = {
            "frame": self.frame,
            "first_axis": self.first_axis,
            "maps_frame": self.borrowed_frame,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return self.reconstruction.as_config() | chosen

    @property
    def borrowed_frame(self) -> int | None:
        """The other frame that coil maps come from; None where the frame makes its own."""
        return None if self.maps_frame == self.frame else self.maps_frame

    def input_digests(self) -> dict[str, str]:
        """Return role to sha256 of every file that is read."""
        return {role: sha256_of_path(file) for role, file in self.input_files().items()}

    def input_files(self) -> dict[str, Path]:
        """Return role to every file that is read, links resolved."""
        named = {"kspace": self.input, "mask": self.mask, "maps": self.maps}
        return {
            role + suffix: file.resolve()
            for role, path in named.items()
            if path is not None
            for suffix, file in _parts(path).items()
        }


def _parts(path: Path) -> dict[str, Path]:
    """Return the files of an input by the suffix of their role: two for a BART pair."""
    if path.is_file() and path.suffix not in (".cfl", ".hdr"):
        return {"": path}
    if path.suffix == ".npy":
        require_file(path)
    header, samples = sorted(cfl_pair(path), key=lambda file: file.suffix, reverse=True)
    return {"_hdr": header, "_cfl": samples}
