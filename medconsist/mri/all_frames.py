"""Every frame of a file as a job of its own: echoes, time frames, repetitions of one case."""

from dataclasses import replace
from typing import Literal

from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.mri.job import Job
from medconsist.mri.readers import count_frames

__all__ = ["MapsFrame", "frame_jobs"]

MapsFrame = int | Literal["own"] | None
"""Frame that the coil maps of all come from; None is 0 wherever maps are estimated."""


def frame_jobs(
    job: Job, *, maps: MapsFrame = None, unreadable: Literal["refused", "kept"] = "refused"
) -> list[Job]:
    """Return the job of each frame of a file, counted without reading a sample.

    The items are ``frame-0``, ``frame-1`` ..., behind the item of the job if it has one. Coil maps
    are those of one frame, so that the phase between frames is that of the object and not of
    their maps. A file that holds one image gives the job as it is.

    Parameters
    ----------
    job
        What the frames share; it has no frame.
    maps
        See `MapsFrame`; ``"own"`` lets each frame estimate its own.
    unreadable
        What becomes of a file whose frames cannot be counted, or that does not hold the frame for
        the maps: an error, or ``"kept"`` as one job, so that in a batch its worker meets the error
        and the other files go on.

    Raises
    ------
    RefusedInputError
        A frame for the maps is given where no maps are estimated, or that the file does not hold.
    MedconsistError
        As `count_frames`.

    Examples
    --------
    >>> import numpy, tempfile
    >>> from pathlib import Path
    >>> from medconsist.mri.methods import Zerofilled
    >>> from medconsist.mri.settings import Reconstruction
    >>> path = Path(tempfile.mkdtemp()) / "scan.npy"
    >>> numpy.save(path, numpy.ones((2, 8, 6), dtype=numpy.complex64))
    >>> job = Job(input=path, out=path.parent, reconstruction=Reconstruction(method=Zerofilled()))
    >>> frame_jobs(job) == [job]
    True
    """
    estimated = job.maps is None and job.reconstruction.combine != "rss"
    chosen = 0 if maps is None and estimated else maps
    maps_frame = None if chosen == "own" else chosen
    first = replace(job, frame=0, maps_frame=maps_frame)  # refuses what does not go together
    try:
        count = count_frames(job.input, budget_bytes=job.budget_bytes)
    except MedconsistError:
        if unreadable == "refused":
            raise
        return [job]
    if maps_frame is not None and not 0 <= maps_frame < count:
        if unreadable == "kept":
            return [first]
        msg = (
            f"--maps-frame {maps_frame}: {job.input.name} holds {count} frames; allowed: 0 to "
            f"{count - 1}, or own."
        )
        raise RefusedInputError(msg)
    if count == 1:
        return [job]
    alone = job.item in (None, job.case_id)
    items = [None if alone else f"{job.item}-frame-{frame}" for frame in range(count)]
    return [replace(first, frame=frame, item=item) for frame, item in enumerate(items)]
