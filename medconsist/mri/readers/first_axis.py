"""What the first axis of four is: slices, or the readout of a volume, still to be transformed."""

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.centring import energy_falls_off, energy_in_the_middle
from medconsist.mri.readers.asked import FirstAxis
from medconsist.mri.readers.readout_planes import planes_along_readout, row_blocks
from medconsist.shapes import CoilKSpace

__all__ = ["split_first_axis"]

_TELLING = 16  # from so many entries on, the middle is a small part of the axis
_FREQUENCIES = 0.75  # share of the energy there: frequencies of anatomy hold nearly all of it


def split_first_axis(
    data: CoilKSpace, *, asked: FirstAxis | None, volume: bool | None, name: str
) -> tuple[CoilKSpace, tuple[str, ...]]:
    """Return slices: as they are, or positions along the readout after its inverse transform.

    Files of four axes do not say whether a volume was transformed along its readout already. If
    nobody says it, the energy along the axis does: it lies in the middle, for frequencies, or is
    spread, for positions. Where the energy says frequencies and the header says nothing of a
    volume, the file is refused rather than read as slices, which would be nonsense; where the
    header does, but the rest of the energy does not fall off from the middle, it is refused too:
    one bright slice looks like that.

    Parameters
    ----------
    data
        ``first coils height width``; overwritten where it is transformed.
    asked
        What the axis is, in the words of the user; None leaves it to header and energy.
    volume
        Whether the header of the file speaks of a volume with two phase encodings; None where it
        says nothing of it.
    name
        Of the file, for the messages.

    Raises
    ------
    RefusedInputError
        If it cannot be told, or the axis to transform is not fully sampled.
    ShapeError
        If it has no entry.
    """
    if not len(data):
        msg = f"{name} has an axis of length 0; allowed: at least one sample along each axis."
        raise ShapeError(msg)
    if asked == "slices":
        return data, ("First axis taken as slices, as asked.",)
    if asked == "readout":
        return _transformed(data, name, "as asked")
    if volume is False:
        return data, ()
    count = len(data)
    if count < _TELLING:
        if volume:
            raise _unclear(name, f"the header speaks of a volume, and {count} are too few to tell")
        return data, ()
    share = energy_in_the_middle(lambda: row_blocks(data), axis=0)
    said = f"{share:.0%} of the energy lies in the middle of its {count}"
    if share < _FREQUENCIES:
        before = f"A volume by the header, transformed before along its first axis: {said}."
        return data, ((before,) if volume else ())
    if not volume:
        raise _unclear(name, said)
    if not energy_falls_off(lambda: row_blocks(data), axis=0):
        raise _unclear(name, f"{said}, and the rest does not fall off from there")
    return _transformed(data, name, f"a volume by the header, and {said}")


def _unclear(name: str, why: str) -> RefusedInputError:
    msg = (
        f"{name}: the first axis may be slices or frequencies along the readout of a volume: "
        f"{why}. Say --first-axis slices or --first-axis readout."
    )
    return RefusedInputError(msg)


def _transformed(data: CoilKSpace, name: str, why: str) -> tuple[CoilKSpace, tuple[str, ...]]:
    if len(data) == 1:
        msg = f"{name}: the first axis has one entry, no readout; leave --first-axis out."
        raise RefusedInputError(msg)
    planes, said = planes_along_readout(data, name=name)
    note = (
        f"First axis taken as the readout of a volume ({why}): its {len(planes)} samples were "
        "transformed, slices are positions along it."
    )
    return planes, (note, *said)
