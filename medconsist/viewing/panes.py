"""What of a stored result is drawn: its images side by side, each verified or with its problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Real

from medconsist.errors import MedconsistError
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import StoredResult
from medconsist.viewing.windowing import magnitude

__all__ = [
    "IMAGE_TITLES",
    "IMAGE_WORDS",
    "Pane",
    "first_choice",
    "image_roles",
    "read_pane",
    "sampled",
]

IMAGE_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "zerofilled": "Zero-filled",
        "cgsense": "CG-SENSE",
        "cs": "Compressed sensing",
        "reconstruction": "Reconstruction",
        "cirim": "CIRIM",
        "reference": "Reference",
    }
)
"""Role of an image and its title, in the order of the panes: the original first.

A network that is shown second stands behind the reconstruction.
"""

IMAGE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "zerofilled": "measured samples and nothing else",
        "reference": "what the others are compared with",
    }
)
"""Role of an image that no setting describes, and what it is."""

_SLICE_AXES = ("slices", "height", "width")


@dataclass(frozen=True, eq=False)
class Pane:
    """One volume on the screen.

    Parameters
    ----------
    role, title
        Of the array, and in words.
    record
        Axes, unit, spacing and orientation as stored.
    values
        Magnitudes ``slices height width``, read-only; None if they cannot be shown.
    problem
        Why not, as a sentence; empty if they can.

    Examples
    --------
    >>> record = ArrayRecord(role="cs", path="cs.zarr", kind="zarr", axes=_SLICE_AXES,
    ...                      shape=(1, 4, 2), dtype="float32", sha256="0" * 64)
    >>> Pane("cs", "Compressed sensing", record, np.ones((1, 4, 2)), "").pixel_aspect is None
    True
    """

    role: str
    title: str
    record: ArrayRecord
    values: Real[np.ndarray, "slices height width"] | None
    problem: str

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Height and width of a pixel [mm], None if unknown."""
        spacing = self.record.spacing_mm
        if spacing is None or spacing[-2] is None or spacing[-1] is None:
            return None
        return spacing[-2], spacing[-1]

    @property
    def pixel_aspect(self) -> float | None:
        """Height of a pixel over its width, None if unknown."""
        return None if self.pixel_mm is None else self.pixel_mm[0] / self.pixel_mm[1]


def image_roles(result: Result) -> list[str]:
    """Return the roles of the images that the result holds, the original first."""
    held = {record.role for record in result.arrays if record.kind == "zarr"}
    return [role for role in IMAGE_TITLES if role in held]


def first_choice(roles: list[str]) -> str:
    """Return the image to examine first: the chosen method, else the last that is no reference."""
    candidates = [role for role in roles if role != "reference"] or roles
    return "reconstruction" if "reconstruction" in candidates else candidates[-1]


def sampled(stored: StoredResult) -> Bool[np.ndarray, "masks height width"] | None:
    """Return where k-space was measured, centre in the middle; None if that is not stored.

    A mask that cannot be verified is not shown either.
    """
    if "sampling_mask" not in stored.roles():
        return None
    try:
        mask = stored.array("sampling_mask")
    except MedconsistError:
        return None
    return mask if mask.dtype == np.bool_ and mask.ndim == len(_SLICE_AXES) else None


def read_pane(stored: StoredResult, role: str, *, signed: bool = False) -> Pane:
    """Return the pane of a role; an array that is corrupt or no image becomes its ``problem``.

    Parameters
    ----------
    stored
        The result, from ``ResultStore.read``.
    role
        One that the result holds.
    signed
        Keep the sign (trust maps) instead of the magnitude (images).

    Notes
    -----
    The sha256 of the array is verified by the store before anything is drawn, so that one broken
    array never takes the others, and least of all the original, from the screen.
    """
    record = next(record for record in stored.result.arrays if record.role == role)
    title = IMAGE_TITLES.get(role, role.replace("_", " ").capitalize())
    if record.axes != _SLICE_AXES:
        named = " ".join(record.axes)
        return Pane(role, title, record, None, f"Not drawn: its axes are {named!r}, no slices.")
    try:
        values = stored.array(role)
    except MedconsistError as error:
        return Pane(role, title, record, None, f"Not shown, the stored bytes are at fault. {error}")
    drawn = values if signed and not np.iscomplexobj(values) else magnitude(values)
    bad = drawn.size - int(np.isfinite(drawn).sum())
    if bad and not signed:
        return Pane(role, title, record, None, f"Not drawn: {bad} pixels are not finite.")
    drawn.flags.writeable = False
    return Pane(role, title, record, drawn, "")
