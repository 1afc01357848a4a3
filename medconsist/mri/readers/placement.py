"""Readouts onto the grid of k-space: partial Fourier, zero padding, averages, calibration lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Complex, Int, Shaped
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.files import check_budget
from medconsist.mri.readers.acquisitions import Acquisitions, Encoding, Fetch, Role
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.volume import as_complex64
from medconsist.shapes import NoiseSamples

__all__ = ["PlaceOptions", "Placed", "frame_count", "place"]

_COUNTERS = "contrast, phase, repetition, set"
_SAMPLES_AT_ONCE = 2**20  # 8 MiB of readouts beside the grid that they come onto


@dataclass(frozen=True, eq=False)
class Placed:
    """Readouts on the grid ``slices coils read line partition``, and the heads behind them.

    In memory the coils of a volume lie behind its readout, so that it splits without a copy.

    Examples
    --------
    >>> Placed.__name__
    'Placed'
    """

    samples: Complex[Tensor, "slices coils read line partition"]
    acquired: Bool[Tensor, "slices read line partition"]
    noise: NoiseSamples | None
    image: Acquisitions
    """The readouts of the image; their ``slice`` counts the slices of the grid."""
    notes: tuple[str, ...]


def place(
    heads: Acquisitions, encoding: Encoding, fetch: Fetch, *, path: Path, options: "PlaceOptions"
) -> Placed:
    r"""Return the samples of one frame on the grid.

    Sample k of a readout goes to index ``n // 2 - centre + k`` of n, line l to ``n // 2 -
    line_centre + l``. Readouts at the same place (averages, segments that overlap) are averaged.
    The noise scan is scaled to the noise of a sample on the grid: its standard deviation goes with
    :math:`1 / \sqrt{\mathrm{dwell}}` and with :math:`1 / \sqrt{\mathrm{averages}}`; where the
    header says which share of the noise power the receiver let through at the full bandwidth of
    the noise scan, it is divided by its root (Kellman and McVeigh 2005, doi:10.1002/mrm.20713).

    Parameters
    ----------
    heads, encoding
        What the file says.
    fetch
        Gives the samples of readouts by number.
    path
        For messages.
    options
        Frame, budget, and whether calibration lines belong to the image.

    Raises
    ------
    RefusedInputError
        If there is no readout of an image, a frame must be chosen, or a readout lies off the grid.
    BudgetError
        If the grid claims more than the budget.
    """
    image = _of_image(heads, path)
    frames, which = np.unique(image.frames, axis=0, return_inverse=True)
    what = f"by {_COUNTERS}"
    chosen, notes = choose_frame(len(frames), options.frame, what=what, name=path.name)
    image = image.where(which.reshape(-1) == chosen)
    image, said = _with_calibration(image, heads, frames[chosen], keep=options.calibration)
    image = image.where(np.argsort(image.number, kind="stable"))
    channels = _channels(image, path.name)
    slices, where = np.unique(image.slice, return_inverse=True)
    lengths, starts, more = _grid(image, encoding, path.name)
    shape = (len(slices), channels, *lengths)
    check_budget(path, 8 * prod(shape), options.budget_bytes)
    samples, counts = _filled(image, where.reshape(-1), starts, fetch, shape)
    noise, about = _noise(heads, image, counts, fetch, path=path, options=options)
    return Placed(
        as_complex64(samples, name=path.name),
        torch.from_numpy(counts > 0),
        noise,
        image,
        (*notes, *said, *more, *_dropped(heads), *_averaged(counts), *about),
    )


def frame_count(heads: Acquisitions, *, path: Path) -> int:
    """Return how many separate images the readouts belong to.

    Raises
    ------
    RefusedInputError
        If there is no readout of an image.
    """
    return len(np.unique(_of_image(heads, path).frames, axis=0))


def _of_image(heads: Acquisitions, path: Path) -> Acquisitions:
    image = heads.where(heads.role == Role.IMAGE)
    if not len(image.number):
        msg = f"{path.name} holds no readout of an image, only {len(heads.number)} others."
        raise RefusedInputError(msg)
    return image


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Which frame, how many bytes at most, and whether calibration lines join the image.

    ``noise_bandwidth`` is the noise power of the noise scan, as a share of that of a flat receiver.

    Examples
    --------
    >>> PlaceOptions(frame=None, budget_bytes=2**30).calibration
    True
    """

    frame: int | None
    budget_bytes: int
    calibration: bool = True
    noise_bandwidth: float = 1.0


def _with_calibration(
    image: Acquisitions, heads: Acquisitions, frame: Int[np.ndarray, " counters"], *, keep: bool
) -> tuple[Acquisitions, tuple[str, ...]]:
    """Add calibration lines where the image has none: then they were measured for it as well."""
    found = heads.where((heads.role == Role.CALIBRATION) & (heads.frames == frame).all(1))
    if not len(found.number):
        return image, ()
    if not keep:
        return image, (f"{len(found.number)} separate calibration readouts left out.",)
    taken = {*zip(image.slice, image.line, image.partition, strict=True)}
    places = zip(found.slice, found.line, found.partition, strict=True)
    new = np.array([place not in taken for place in places])
    added = found.where(new & (found.channels == image.channels[0]))
    note = f"{len(added.number)} of {len(found.number)} calibration readouts taken into k-space."
    both = {
        name: np.concatenate([getattr(image, name), getattr(added, name)]) for name in vars(image)
    }
    return Acquisitions(**both), (note,)


def _channels(image: Acquisitions, name: str) -> int:
    channels = sorted({int(n) for n in image.channels})
    if len(channels) > 1 or channels[0] < 1 or (image.stop <= image.first).any():
        msg = (
            f"{name} has readouts of {channels} channels, some perhaps empty; allowed: the same "
            "channels and at least one sample in every readout of the image."
        )
        raise RefusedInputError(msg)
    return channels[0]


def _grid(
    image: Acquisitions, encoding: Encoding, name: str
) -> tuple[tuple[int, int, int], Shaped[np.ndarray, "axes rows"], tuple[str, ...]]:
    notes = []
    longest = int(image.length.max())
    read = max(encoding.matrix[0] or 0, longest)
    if encoding.matrix[0] is not None and longest > encoding.matrix[0]:
        notes.append(f"The header encodes {encoding.matrix[0]} samples, the readouts hold {read}.")
    # Writers leave the centre at 0 where a readout fills the grid; it has one place to go then.
    whole = image.length == read
    starts = [np.where(whole, 0, read // 2 - image.centre) + image.first]
    lengths = [read]
    for axis, index, centre, label in (
        (1, image.line, encoding.line_centre, "line"),
        (2, image.partition, encoding.partition_centre, "partition"),
    ):
        points = encoding.matrix[axis] or int(index.max()) + 1
        if axis == 2 and points > 1 and (index == index[0]).all():
            notes.append(f"The header encodes {points} partitions, the readouts hold one: planes.")
            index, centre, points = 0 * index, None, 1
        at = index if centre is None else index + points // 2 - centre
        if (at.min() < 0 or at.max() >= points) and int(index.max()) < points:
            at = index
            notes.append(f"The header's centre {centre} of {points} {label}s does not fit: unused.")
        starts.append(at)
        lengths.append(points)
    stops = [starts[0] + image.stop - image.first, starts[1] + 1, starts[2] + 1]
    for label, start, stop, points in zip(
        ("sample", "line", "partition"), starts, stops, lengths, strict=True
    ):
        if start.min() < 0 or stop.max() > points:
            msg = (
                f"{name}: a {label} falls at {start.min()} or {stop.max() - 1} of {points} points; "
                "the header does not describe these readouts. Convert the file again."
            )
            raise RefusedInputError(msg)
    return (lengths[0], lengths[1], lengths[2]), np.stack(starts), tuple(notes)


def _filled(
    image: Acquisitions,
    slices: Int[np.ndarray, " rows"],
    starts: Shaped[np.ndarray, "axes rows"],
    fetch: Fetch,
    shape: tuple[int, ...],
) -> tuple[
    Shaped[np.ndarray, "slices coils read line partition"],
    Shaped[np.ndarray, "slices read line partition"],
]:
    """Return mean samples and how many were averaged."""
    samples = _empty_grid(shape)
    counts = np.zeros((shape[0], *shape[2:]), dtype=np.uint16)
    for row, block in enumerate(_blocks(image, fetch)):
        start, line, partition = starts[:, row]
        across = slice(start, start + block.shape[1])
        samples[slices[row], :, across, line, partition] += block
        counts[slices[row], across, line, partition] += 1
    if counts.max() > 1:
        for of_slice, many in zip(samples, counts, strict=True):
            of_slice /= np.maximum(many, 1)
    return samples, counts


def _empty_grid(
    shape: tuple[int, ...],
) -> Shaped[np.ndarray, "slices coils read line partition"]:
    slices, coils, read, lines, partitions = shape
    if partitions == 1:
        return np.zeros(shape, dtype=np.complex64)
    grid = np.zeros((slices, read, coils, lines, partitions), dtype=np.complex64)
    return grid.swapaxes(1, 2)


def _blocks(heads: Acquisitions, fetch: Fetch) -> Iterator[Complex[np.ndarray, "coils samples"]]:
    """Yield what is kept of each readout; some of them are fetched at a time."""
    ends = np.cumsum(heads.channels * heads.length)
    row = 0
    while row < len(ends):
        before = ends[row - 1] if row else 0
        stop = max(row + 1, int(np.searchsorted(ends, before + _SAMPLES_AT_ONCE, side="right")))
        flat = fetch(heads.number[row:stop])
        for block in np.split(flat, ends[row : stop - 1] - before):
            both = block.reshape(heads.channels[row], heads.length[row])
            yield both[:, heads.first[row] : heads.stop[row]]
            row += 1


def _noise(
    heads: Acquisitions,
    image: Acquisitions,
    counts: Shaped[np.ndarray, "slices read line partition"],
    fetch: Fetch,
    *,
    path: Path,
    options: PlaceOptions,
) -> tuple[NoiseSamples | None, tuple[str, ...]]:
    found = heads.where(heads.role == Role.NOISE)
    if not len(found.number):
        return None, ()
    if (found.channels != image.channels[0]).any():
        return None, ("The noise scan has other channels than the image: left out.",)
    samples = as_complex64(
        np.concatenate([*_blocks(found, fetch)], axis=1), name=f"{path.name}: noise scan"
    )
    if samples.shape[1] < 2 or not bool((samples != 0).any()):
        return None, ("The noise scan is empty: left out.",)
    dwells = float(np.median(found.dwell_us)), float(np.median(image.dwell_us))
    known = all(dwell > 0 and isfinite(dwell) for dwell in dwells)
    scale = (dwells[0] / dwells[1]) ** 0.5 if known else 1.0
    scale /= (options.noise_bandwidth * float(np.median(counts[counts > 0]))) ** 0.5
    note = (
        f"Noise scan of {samples.shape[1]} samples per coil, scaled by {scale:.4g} for sampling "
        f"time{'' if known else ' (not known)'}, averages and receiver bandwidth."
    )
    return samples * scale, (note,)


def _dropped(heads: Acquisitions) -> tuple[str, ...]:
    count = int((heads.role == Role.OTHER).sum())
    note = f"{count} readouts left out: navigators, phase correction, dummies and the like."
    return (note,) if count else ()


def _averaged(counts: Shaped[np.ndarray, "..."]) -> tuple[str, ...]:
    found = np.unique(counts[counts > 0])
    if found[-1] == 1:
        return ()
    if len(found) == 1:
        return (f"Mean of {found[0]} readouts at each place (averages).",)
    return (f"Mean of {found[0]} to {found[-1]} readouts at a place: noise differs with it.",)
