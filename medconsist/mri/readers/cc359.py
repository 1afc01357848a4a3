"""Calgary-Campinas (CC359) raw data: a volume already transformed along its readout, real numbers.

Souza et al. 2018, doi:10.1016/j.neuroimage.2017.08.021, and the code of its challenge
(github.com/rmsouza01/MC-MRI-Rec). Dataset ``kspace`` is ``x ky kz 2*coils``: real and imaginary
parts alternate along the last axis. Files carry no geometry. Not verified on a file: where the
centre and the image origin lie (both are measured), and whether the unmeasured end of kz is zero.
"""

from math import ceil

from medconsist.mri.centring import measured_centring
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.coils_last import read_coils_last
from medconsist.mri.readers.volume import Volume
from medconsist.shapes import CoilKSpace

__all__ = ["is_cc359", "read_cc359"]

_AXES = 4
_MEASURED = 0.85  # of kz; public loaders (DIRECT's, deepinv's) set to zero what lies beyond
_REAL = "f"


def is_cc359(file: ForeignHdf5) -> bool:
    """Tell whether ``kspace`` is real, of four axes, the last an even and the shortest of a plane.

    A file with a header of ISMRMRD is none: its real numbers are magnitudes.
    """
    listed = file.datasets.get("kspace")
    if listed is None or listed.kind != _REAL or len(listed.shape) != _AXES:
        return False
    *_, ky, kz, parts = listed.shape
    return 0 < parts < min(ky, kz) and parts % 2 == 0 and "ismrmrd_header" not in file.datasets


def read_cc359(file: ForeignHdf5) -> Volume:
    """Read a volume as ``slices coils height width``: x, coils, ky, kz.

    Files of the challenge's test set are undersampled: their zeros become the mask. The last 15 %
    of kz were never measured; what a file holds there is left out, and a note counts it.

    Raises
    ------
    ShapeError, RefusedInputError, BudgetError
        As `read_coils_last`.
    """
    data = read_coils_last(file, "kspace", parts=2)
    notes = [
        "Calgary-Campinas layout: slices are positions along the readout (x), height is ky, width "
        "kz; real and imaginary parts of the coils alternate."
    ]
    for axis, name in ((-2, "height"), (-1, "width")):
        centring = measured_centring(
            lambda: data, axis=axis, name=name, origin_of_centred="measured"
        )
        if axis == -1 and not centring.shift:
            notes += _without_end(data)
        if centring.changes:
            for plane in data:
                plane.copy_(centring.apply(plane, axis=axis))
        notes += centring.notes
    return Volume(data, notes=tuple(notes))


def _without_end(data: CoilKSpace) -> list[str]:
    """Set what was not measured along kz to zero; return a note if there was anything."""
    width = data.shape[-1]
    stop = ceil(_MEASURED * width)
    end = data[..., stop:]
    found = sum(int((plane != 0).any(0).sum()) for plane in end)
    end.zero_()
    if not found:
        return []
    return [
        f"{found} positions at kz {stop} to {width - 1} hold values, but only {_MEASURED:.0%} of "
        "kz were measured: left out, as public loaders of this data set do."
    ]
