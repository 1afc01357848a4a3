"""SKM-TEA knee k-space (raw data track): a volume already transformed along its readout.

Desai et al. 2021, arXiv:2203.06823. Dataset ``kspace`` is ``x ky kz echo coil``; ``maps``
(``x y z coil set``), ``target`` (``x y z echo set``) and retrospective masks in ``masks`` lie
beside it and are not read. Files carry no geometry.
"""

from medconsist.errors import ShapeError
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.volume import Volume, as_complex64, refuse_other_axes

__all__ = ["is_skm_tea", "read_skm_tea"]

_AXES, _ECHO = 5, 3
_NOTES = (
    "SKM-TEA layout: slices are positions along the readout, height is ky, width kz.",
    "SKM-TEA k-space was completed by its makers (vendor's ARC, zero padding): what counts as "
    "acquired here includes estimated samples.",
)


def is_skm_tea(file: ForeignHdf5) -> bool:
    """Tell whether ``kspace`` has a target or maps beside it, as only this layout has."""
    return "kspace" in file.datasets and not file.datasets.keys().isdisjoint({"target", "maps"})


def read_skm_tea(file: ForeignHdf5, *, frame: int | None) -> Volume:
    """Read one echo, as ``slices coils height width``; only its part of the file is read.

    Raises
    ------
    ShapeError
        If ``kspace`` has not five axes.
    RefusedInputError
        If there are several echoes and none was chosen.
    """
    name, shape = file.path.name, file.datasets["kspace"].shape
    if len(shape) != _AXES or min(shape) < 1:
        msg = f"{name}: kspace has axes {shape}; allowed: x, ky, kz, echo, coil, none empty."
        raise ShapeError(msg)
    echo, said = choose_frame(shape[_ECHO], frame, what="echoes", name=name)
    array = file.read(arrays=("kspace",), picks={"kspace": (_ECHO, echo)}).arrays["kspace"]
    data = as_complex64(array.transpose(0, 3, 1, 2), name=f"{name}: kspace")
    refuse_other_axes(*data.shape[1:], name=name)
    return Volume(data, notes=(*_NOTES, *said))
