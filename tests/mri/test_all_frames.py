"""Which jobs the frames of a file become."""

from dataclasses import replace
from pathlib import Path

import pytest

from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.mri.all_frames import frame_jobs
from medconsist.mri.job import Job
from medconsist.mri.methods import Zerofilled
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import reconstruct_file
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.conftest import write_npy
from tests.mri.layout_writers import write_skm_tea


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of a file with three echoes."""
    path = write_skm_tea(tmp_path / "MTR_005", asymmetric_kspace(), echoes=3)
    return Job(input=path, out=tmp_path / "out", reconstruction=Reconstruction(method=Zerofilled()))


def test_maps_come_from_the_first_frame_unless_said(job: Job) -> None:
    jobs = frame_jobs(job)
    assert [one.item_id for one in jobs] == ["frame-0", "frame-1", "frame-2"]
    assert [one.borrowed_frame for one in jobs] == [None, 0, 0]
    assert [one.borrowed_frame for one in frame_jobs(job, maps=2)] == [2, 2, None]
    assert [one.borrowed_frame for one in frame_jobs(job, maps="own")] == [None] * 3


def test_the_first_frame_has_the_key_that_it_has_alone(job: Job) -> None:
    alone = replace(job, frame=0)
    digests = {"kspace": "0" * 64}
    keys = [one.key(digests) for one in frame_jobs(job)]
    assert keys[0] == alone.key(digests)
    assert len(set(keys)) == 3


def test_an_item_that_was_given_stands_before_the_frame(job: Job) -> None:
    items = [one.item_id for one in frame_jobs(replace(job, item="left"))]
    assert items == ["left-frame-0", "left-frame-1", "left-frame-2"]
    assert frame_jobs(replace(job, item="MTR_005"))[1].item_id == "frame-1"


def test_no_maps_are_borrowed_where_none_are_estimated(job: Job) -> None:
    rss = replace(job, reconstruction=Reconstruction(method=Zerofilled(), combine="rss"))
    given = replace(job, maps=job.input)
    for one in (rss, given):
        assert {frame.maps_frame for frame in frame_jobs(one)} == {None}
        with pytest.raises(RefusedInputError, match="--maps-frame 1"):
            frame_jobs(one, maps=1)


def test_frame_of_the_maps_must_be_there(job: Job, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"holds 3 frames; allowed: 0 to 2, or own"):
        frame_jobs(job, maps=3)
    one = replace(job, input=write_npy(tmp_path / "one", asymmetric_kspace()))
    assert frame_jobs(one, maps=0) == [one]
    with pytest.raises(RefusedInputError, match="holds 1 frames"):
        frame_jobs(one, maps=1)


def test_in_a_batch_the_worker_says_that_the_frame_of_the_maps_is_not_there(
    job: Job, tmp_path: Path
) -> None:
    for file in (job.input, write_npy(tmp_path / "one", asymmetric_kspace())):
        (kept,) = frame_jobs(replace(job, input=file), maps=3, unreadable="kept")
        with pytest.raises(RefusedInputError, match=r"has no frame 3"):
            reconstruct_file(kept)


def test_a_file_that_cannot_be_counted_is_refused_or_kept_for_its_worker(job: Job) -> None:
    job.input.write_bytes(b"no file of any kind")
    with pytest.raises(MedconsistError, match="does not begin as one"):
        frame_jobs(job)
    assert frame_jobs(job, unreadable="kept") == [job]
