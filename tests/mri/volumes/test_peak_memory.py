"""A volume is reconstructed within the memory of its k-space, twice, and of a slab."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist.mri.computed import compute
from medconsist.mri.file_of_frames import read_frame
from medconsist.mri.job import Job
from medconsist.mri.methods import CgSense
from medconsist.mri.settings import Reconstruction
from medconsist.mri.trust import TrustConfig
from tests.mri.cirim.live_bytes import peak_bytes
from tests.mri.volumes import peak_memory

MIB = 2**20
SLAB = 8 * MIB
REST = 40 * MIB  # patches of the feature map, and what the allocator keeps


def write_volume(folder: Path, slices: int, coils: int, side: int) -> tuple[Path, Path, int]:
    """Write noise, and maps of one slice for all; return also the size of the k-space."""
    rng = np.random.default_rng(0)
    shape = (slices, coils, side, side)
    real, imaginary = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    samples = (real + 1j * imaginary) * np.hanning(side)[:, None].astype(np.float32)
    samples[:, :, :, ::3] = 0
    np.save(folder / f"volume-{slices}.npy", samples)
    np.save(folder / f"maps-{slices}.npy", np.ones((1, 1, coils, side, side), np.complex64))
    return folder / f"volume-{slices}.npy", folder / f"maps-{slices}.npy", samples.nbytes


def test_tensors_beside_the_volume_take_less_than_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medconsist.mri.evidence.refutability._PATCH_ELEMENTS", 2**14)
    path, maps, size = write_volume(tmp_path, 24, 12, 32)
    what = Reconstruction(method=CgSense(iterations=2), comparators=(), trust=TrustConfig(probes=1))
    job = Job(input=path, maps=maps, out=tmp_path, reconstruction=what, slab_bytes=1)
    peaks = []
    for one in (job, replace(job, slab_bytes=64 * size)):
        kspace = read_frame(one, None)
        peaks.append(peak_bytes(lambda: compute(one, kspace, {}), known=[kspace.data]))  # noqa: B023  at once
    in_slabs, at_once = peaks
    assert in_slabs < size
    assert at_once > 4 * size


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
def test_peak_memory_of_the_process_is_twice_the_volume_and_a_slab(tmp_path: Path) -> None:
    small, small_maps, _ = write_volume(tmp_path, 2, 8, 96)
    large, maps, size = write_volume(tmp_path, 96, 8, 96)
    peaks = []
    for slab_bytes in (SLAB, 64 * size):
        words = [str(path) for path in (small, small_maps, large, maps)]
        program = [sys.executable, peak_memory.__file__, *words, str(slab_bytes)]
        done = subprocess.run(program, check=True, capture_output=True, text=True)
        peaks.append(json.loads(done.stdout))
    in_slabs, at_once = peaks
    assert in_slabs < 2 * size + SLAB + REST
    assert at_once > 4 * size
