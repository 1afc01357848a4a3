"""What frames share is made once, and no frame can tell."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from medconsist.mri import file_of_frames, task
from medconsist.mri.all_frames import frame_jobs
from medconsist.mri.file_of_frames import FileOfFrames
from medconsist.mri.job import Job
from medconsist.mri.methods import CgSense
from medconsist.mri.prepare import PrepareConfig
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import reconstruct_file
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.layout_writers import write_skm_tea

FRAMES = 3


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of a file with three echoes, of which each has a strength of its own."""
    path = write_skm_tea(tmp_path / "echoes", asymmetric_kspace(), echoes=FRAMES)
    with h5py.File(path, "r+") as file:
        file["kspace"][...] *= np.arange(1, FRAMES + 1).reshape(-1, 1)
    what = Reconstruction(
        method=CgSense(), comparators=(), prepare=PrepareConfig(calibration=12, compress_to=2)
    )
    return Job(input=path, out=tmp_path / "out", reconstruction=what)


@pytest.fixture
def frames_read(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The frames of all that was read since."""
    read, frames = file_of_frames.read_frame, list[int | None]()

    def counted(job: Job, frame: int | None) -> object:
        frames.append(frame)
        return read(job, frame)

    for module in (file_of_frames, task):
        monkeypatch.setattr(module, "read_frame", counted)
    return frames


def test_frames_are_the_same_with_what_they_share_made_once_or_for_each(
    job: Job, tmp_path: Path
) -> None:
    file = FileOfFrames()
    for one in frame_jobs(job):
        shared = reconstruct_file(one, file=file).stored
        alone = reconstruct_file(replace(one, out=tmp_path / "alone")).stored
        assert shared.result.key == alone.result.key
        assert shared.result.notes == alone.result.notes
        for role in ("reconstruction", "not_determined", "sampling_mask"):
            assert np.array_equal(shared.array(role), alone.array(role))


def test_the_frame_of_the_maps_is_read_once_for_all_others(
    job: Job, frames_read: list[int | None]
) -> None:
    file = FileOfFrames()
    for one in frame_jobs(job):
        reconstruct_file(one, file=file)
    assert frames_read == [0, 1, 0, 2]


def test_a_frame_that_is_done_is_not_read(job: Job, frames_read: list[int | None]) -> None:
    jobs = frame_jobs(job)
    first = [reconstruct_file(one).stored.result.key for one in jobs]
    frames_read.clear()
    again = [reconstruct_file(one) for one in jobs]
    assert frames_read == []
    assert [one.stored.result.key for one in again] == first
    assert not any(one.fresh for one in again)


def test_a_file_that_changed_is_hashed_and_calibrated_anew(job: Job) -> None:
    file, second = FileOfFrames(), frame_jobs(job)[1]
    before, lent = file.digests(second), file.calibration(second)
    assert file.digests(second) is before
    assert file.calibration(second) is lent is not None
    with h5py.File(job.input, "r+") as changed:
        changed["kspace"][...] *= 2
    os.utime(job.input, ns=(1, 1))  # clocks of file systems are coarse
    assert file.digests(second) != before
    assert file.calibration(second) is not lent


def test_frames_of_other_settings_or_another_lender_share_nothing(job: Job) -> None:
    file, second = FileOfFrames(), frame_jobs(job)[1]
    lent = file.calibration(second)
    assert file.calibration(replace(second, maps_frame=2)) is not lent
    what = replace(job.reconstruction, prepare=PrepareConfig(calibration=8))
    other = file.calibration(replace(second, reconstruction=what))
    assert other is not None
    assert other.region.shape == (8, 8)
    assert file.calibration(replace(second, maps_frame=None)) is None
