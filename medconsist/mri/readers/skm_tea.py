"""SKM-TEA knee k-space (raw data track): a volume already transformed along its readout.

Desai et al. 2021, arXiv:2203.06823. Dataset ``kspace`` is ``x ky kz echo coil``; ``maps``
(``x y z coil set``), ``target`` (``x y z echo set``) and retrospective masks in ``masks`` lie
beside it and are not read. Files carry no geometry.
"""

from medconsist.errors import ShapeError
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.coils_last import read_coils_last
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.volume import Volume

__all__ = ["count_skm_tea", "is_skm_tea", "read_skm_tea"]

_AXES, _ECHO = 5, 3
_NOTES = (
    "SKM-TEA layout: slices are positions along the readout, height is ky, width kz.",
    "SKM-TEA k-space was completed by its makers (vendor's ARC, zero padding): what counts as "
    "acquired here includes estimated samples.",
)


def is_skm_tea(file: ForeignHdf5) -> bool:
    """Tell whether ``kspace`` has a target or maps beside it, as only this layout has."""
    return "kspace" in file.datasets and not file.datasets.keys().isdisjoint({"target", "maps"})


def count_skm_tea(file: ForeignHdf5) -> int:
    """Return how many echoes there are.

    Raises
    ------
    ShapeError
        If ``kspace`` has not five axes.
    """
    shape = file.datasets["kspace"].shape
    if len(shape) != _AXES or min(shape) < 1:
        msg = (
            f"{file.path.name}: kspace has axes {shape}; allowed: x, ky, kz, echo, coil, none "
            "empty."
        )
        raise ShapeError(msg)
    return shape[_ECHO]


def read_skm_tea(file: ForeignHdf5, *, frame: int | None) -> Volume:
    """Read one echo, as ``slices coils height width``; only its part of the file is read.

    Raises
    ------
    ShapeError
        If ``kspace`` has not five axes.
    RefusedInputError
        If there are several echoes and none was chosen.
    """
    echo, said = choose_frame(count_skm_tea(file), frame, what="echoes", name=file.path.name)
    data = read_coils_last(file, "kspace", pick=(_ECHO, echo))
    return Volume(data, notes=(*_NOTES, *said))
