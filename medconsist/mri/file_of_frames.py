"""What the frames of one file have in common, made once: its digests, and the coils of a frame."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medconsist.mri.coil_calibration import CoilCalibration
from medconsist.mri.job import Job
from medconsist.mri.kspace import KSpace
from medconsist.mri.readers import read_kspace
from medconsist.mri.volumes.prepare_volume import Room, calibrate_coils
from medconsist.mri.volumes.volume import SLAB_BYTES, SLAB_BYTES_CUDA

__all__ = ["FileOfFrames", "read_frame", "room_of"]


class FileOfFrames:
    """Keeps what the last job had made, for the next one of the same unchanged files.

    Examples
    --------
    >>> from medconsist.mri.methods import Zerofilled
    >>> from medconsist.mri.settings import Reconstruction
    >>> what = Reconstruction(method=Zerofilled())
    >>> job = Job(input=Path("a.npy"), out=Path(), reconstruction=what)
    >>> FileOfFrames().calibration(job) is None  # its maps are its own
    True
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[object, Any]] = {}

    def digests(self, job: Job) -> Mapping[str, str]:
        """Return the `Job.input_digests`."""
        digests: Mapping[str, str] = self._once("digests", _files(job), job.input_digests)
        return digests

    def calibration(self, job: Job) -> CoilCalibration | None:
        """Return the calibration of the frame that lends its coil maps; None where none does."""
        frame = job.borrowed_frame
        if frame is None:
            return None
        lender = replace(job, frame=frame, maps_frame=None, item=None)
        about = (lender, _files(job))
        made: CoilCalibration = self._once("calibration", about, lambda: _calibrated(lender))
        return made

    def _once(self, name: str, about: object, make: Callable[[], object]) -> Any:  # noqa: ANN401
        before, made = self._made.get(name, (None, None))
        if before != about:
            self._made.pop(name, None)  # not two at a time
            made = make()
            self._made[name] = (about, made)
        return made


def read_frame(job: Job, frame: int | None) -> KSpace:
    """Return a frame of the file of a job."""
    return read_kspace(
        job.input,
        mask=job.mask,
        budget_bytes=job.budget_bytes,
        frame=frame,
        first_axis=job.first_axis,
    )


def room_of(job: Job) -> Room:
    """Return what memory and disk a job may take."""
    usual = SLAB_BYTES_CUDA if job.device.startswith("cuda") else SLAB_BYTES
    asked = usual if job.slab_bytes is None else job.slab_bytes
    return Room(folder=job.out, slab_bytes=asked, device=job.device)


def _calibrated(lender: Job) -> CoilCalibration:
    found = calibrate_coils(
        read_frame(lender, lender.frame), room_of(lender), config=lender.reconstruction.prepare
    )
    return replace(found, origin=f" of frame {lender.frame}")


def _files(job: Job) -> tuple[tuple[Path, int, int, int], ...]:
    """Return what tells a file from another one, and from what it was before it changed."""
    facts = [(path, path.stat()) for path in job.input_files().values()]
    return tuple((path, one.st_ino, one.st_size, one.st_mtime_ns) for path, one in facts)
