"""Scans of the simulator in files of several formats, and their results by the job of MRI."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch

from medconsist.metrics.image import image_quality
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.choice import Choice
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.methods import Method, Zerofilled
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_file import write_scan
from medconsist.mri.settings import Reconstruction
from medconsist.mri.shown_first import LEARNED_ROLE, YARDSTICK
from medconsist.mri.simulate import ScanConfig, SimulatedScan, simulate
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.schema import Result
from medconsist.results.store import StoredResult
from medconsist.training.weights import save_weights
from medconsist.viewing.bench.faults.entry import Entry, Spot, raised_by

__all__ = ["SCANS", "reconstructed", "write_scan_file"]

_UNIT = "simulated scan"
_FIELD_MM = 230.4
_TINY = CirimConfig(cascades=2, steps=2, features=4)
_SNR = (3.0, 60.0)  # of the scans on which the network is judged, evenly in its logarithm
Layout = Literal["ismrmrd", "fastmri", "numpy"]


def _scan(
    spot: Spot, *, size: int = 32, snr: float = 30.0, coils: int = 3, acceleration: float = 1.0
) -> SimulatedScan:
    spacing = _FIELD_MM / size
    config = ScanConfig(
        shape=(size, size),
        n_slices=1,
        voxel_size_mm=(6.0, spacing, spacing),
        n_coils=coils,
        snr=snr,
        lesions=(0, 0),
        noise_samples=2048,
    )
    generator = spot.generator
    scan = simulate(config, generator)
    if acceleration <= 1:
        return scan
    kind = Gaussian2D(acceleration=acceleration, center=(12, 12))
    return scan.undersampled(kind(config.shape, generator))


def reconstructed(
    path: Path, *, method: Method | None = None, study: str = "faults"
) -> StoredResult:
    """Reconstruct a file beside itself."""
    what = Reconstruction(method=method or Zerofilled(), comparators=())
    job = Job(input=path, out=path.parent / "results", study=study, reconstruction=what)
    return reconstruct_file(job).stored


def write_scan_file(
    spot: Spot,
    layout: Layout,
    *,
    has_directions: bool = True,
    has_spacing: bool = True,
    turn: float = 1.0,
    stretch: float = 1.0,
) -> Path:
    """Write a scan in one of the layouts that are read, and return the file.

    Parameters
    ----------
    spot
        Where, and of which seed.
    layout
        Which.
    has_directions, has_spacing
        Whether the file says them, where the layout can.
    turn
        -1 names the directions of rows and slices the wrong way round.
    stretch
        Factor of the field of view that the file claims.
    """
    scan = _scan(spot)
    if layout == "numpy":
        path = spot.room / "scan.npy"
        np.save(path, scan.kspace.data.numpy())
        return path
    path = spot.room / "scan.h5"
    if layout == "fastmri":
        write_scan(scan, path)
        if not has_spacing:
            with h5py.File(path, "a") as file:
                del file["ismrmrd_header"]
        return path
    axes = _directions(spot.rng) * np.array([[1.0], [turn], [turn]])
    rows = _rows(scan, axes if has_directions else np.zeros((3, 3)))
    with h5py.File(path, "w") as file:
        file["dataset/data"] = rows
        text = h5py.string_dtype()
        file["dataset/xml"] = np.array([_xml(scan, stretch if has_spacing else None)], dtype=text)
    return path


def _directions(rng: np.random.Generator) -> np.ndarray:
    """Return unit vectors of readout, phase encoding and slice of an oblique plane."""
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turned * (1 if np.linalg.det(turned) > 0 else -1)


_INTEGERS = {
    "flags": "<u8",
    "number_of_samples": "<u2",
    "active_channels": "<u2",
    "discard_pre": "<u2",
    "discard_post": "<u2",
    "center_sample": "<u2",
    "encoding_space_ref": "<u2",
}
_VECTORS = ("position", "read_dir", "phase_dir", "slice_dir")
_COUNTERS = ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice")
_OTHERS = ("contrast", "phase", "repetition", "set")
_HEAD = np.dtype(
    [
        *_INTEGERS.items(),
        ("sample_time_us", "<f4"),
        *((name, "<f4", (3,)) for name in _VECTORS),
        ("idx", [(name, "<u2") for name in (*_COUNTERS, *_OTHERS)]),
    ]
)
_ROW = np.dtype([("head", _HEAD), ("data", h5py.vlen_dtype(np.float32))])


def _rows(scan: SimulatedScan, axes: np.ndarray) -> np.ndarray:
    """Return one readout for each line: the fields of ISMRMRD that a reader needs."""
    samples = scan.kspace.data[0].numpy()  # coils, height: readout, width: lines
    rows = np.zeros(samples.shape[2], _ROW)
    head = rows["head"]
    head["number_of_samples"], head["active_channels"] = samples.shape[1], samples.shape[0]
    head["center_sample"], head["sample_time_us"] = samples.shape[1] // 2, 5.0
    head["idx"]["kspace_encode_step_1"] = np.arange(len(rows))
    for name, axis in zip(_VECTORS[1:], axes, strict=True):
        head[name] = axis
    for line, row in enumerate(rows):
        row["data"] = np.ascontiguousarray(samples[:, :, line]).view(np.float32).ravel()
    return rows


def _xml(scan: SimulatedScan, stretch: float | None) -> str:
    height, width = scan.config.shape
    spacing, row, column = scan.config.voxel_size_mm
    fov = ""
    if stretch is not None:
        x, y, z = stretch * height * row, stretch * width * column, spacing
        fov = f"<fieldOfView_mm><x>{x}</x><y>{y}</y><z>{z}</z></fieldOfView_mm>"
    space = f"<matrixSize><x>{height}</x><y>{width}</y><z>1</z></matrixSize>{fov}"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"<encodedSpace>{space}</encodedSpace><reconSpace>{space}</reconSpace><encodingLimits>"
        f"<kspace_encoding_step_1><minimum>0</minimum><maximum>{width - 1}</maximum>"
        f"<center>{width // 2}</center></kspace_encoding_step_1></encodingLimits>"
        "<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
    )


def _of_file(spot: Spot, *, layout: Layout, **facts: Any) -> Result:  # noqa: ANN401  of the writer
    return reconstructed(write_scan_file(spot, layout, **facts)).result


_ABOUT: Mapping[str, Mapping[str, str]] = {
    "card": {"trained_on": "undersampled scans", "card": "card.md"},
    "bare": {"trained_on": "undersampled scans"},
    "simulation": {"trained_on": "simulation"},
    "then_scan": {"trained_on": "simulation, then undersampled scans"},
}


def _write_networks(folder: Path) -> None:
    """Write small networks that change nothing, and say different things of their training."""
    network = Cirim(_TINY, generator=torch.Generator().manual_seed(1))
    for block in network.cascades:
        torch.nn.init.zeros_(block.out.weight)  # type: ignore[arg-type, union-attr]  # a RimBlock
    architecture = {"network": "cirim", **_TINY.as_dict()}
    for name, about in _ABOUT.items():
        state = network.state_dict()
        save_weights(folder / f"{name}.safetensors", state, architecture=architecture, about=about)


def _of_weights(spot: Spot, *, name: str) -> Result:
    model = load_model(spot.shared / "_write_networks" / f"{name}.safetensors")
    path = write_scan_file(spot, "numpy")
    return reconstructed(path, method=LearnedMethod(model)).result


def _adapted(spot: Spot, *, noise_alone: bool) -> Result:
    """Return a scan by an untrained network that learns from it."""
    scan = _scan(spot, acceleration=2.0)
    scan = _of_noise(scan, spot) if noise_alone else scan
    path = spot.room / "scan.h5"
    write_scan(scan, path)
    model = load_model(spot.shared / "_write_networks" / "bare.safetensors")
    settings = ZeroShot(steps=30, pairs=4, calibration=8, lr=1e-2, precision="32")
    return reconstructed(path, method=ZeroShotMethod(model, settings, seed=spot.seed)).result


def _of_noise(scan: SimulatedScan, spot: Spot) -> SimulatedScan:
    """Return the scan with white noise, as strong as its samples, in place of them."""
    kspace = scan.kspace
    noise = torch.randn(kspace.data.shape, dtype=torch.complex64, generator=spot.generator)
    data = torch.where(kspace.mask[:, None], noise * kspace.data.abs().mean(), 0)
    return replace(scan, kspace=replace(kspace, data=data))


@cache
def _shipped() -> Method:
    return Choice().method()


@dataclass(frozen=True)
class _Judged:
    """A result of the shipped network, and the errors of both images beside the reference."""

    result: Result
    network: float
    yardstick: float


def _judged(spot: Spot, *, is_ahead: bool) -> Result | None:
    """Return a scan's result if the network is nearer to the reference there, or is not."""
    low, high = (math.log(snr) for snr in _SNR)
    snr = math.exp(spot.rng.uniform(low, high))
    path = spot.room / "scan.h5"
    write_scan(_scan(spot, size=64, snr=snr, coils=8, acceleration=4.0), path)
    stored = reconstructed(path, method=_shipped())
    found = _errors(stored)
    return found.result if (found.network < found.yardstick) == is_ahead else None


def _errors(stored: StoredResult) -> _Judged:
    other = YARDSTICK if YARDSTICK in stored.roles() else LEARNED_ROLE
    reference = torch.from_numpy(stored.array("reference")).abs()
    first, second = (
        image_quality(torch.from_numpy(stored.array(role)).abs(), reference)["nmse"]
        for role in ("reconstruction", other)
    )
    network, yardstick = (first, second) if other == YARDSTICK else (second, first)
    return _Judged(stored.result, network, yardstick)


def _entry(alarm: str, n: int, **make: Any) -> Entry:  # noqa: ANN401  functions of a spot
    return Entry(unit=_UNIT, n=n, make=make, raised=raised_by(alarm))


_ismrmrd = partial(_of_file, layout="ismrmrd")
_fastmri = partial(_of_file, layout="fastmri")
_numpy = partial(_of_file, layout="numpy")

SCANS: Mapping[str, Entry] = {
    "orientation_unknown": _entry(
        "orientation_unknown",
        10,
        ismrmrd=_ismrmrd,
        ismrmrd_without=partial(_ismrmrd, has_directions=False),
        fastmri=_fastmri,
        numpy=_numpy,
        mirrored=partial(_ismrmrd, turn=-1.0),
    ),
    "spacing_unknown": _entry(
        "spacing_unknown",
        10,
        ismrmrd=_ismrmrd,
        fastmri=_fastmri,
        ismrmrd_without=partial(_ismrmrd, has_spacing=False),
        fastmri_without=partial(_fastmri, has_spacing=False),
        numpy=_numpy,
        doubled=partial(_ismrmrd, stretch=2.0),
    ),
    "no_card": replace(
        _entry(
            "no_card",
            12,
            with_card=partial(_of_weights, name="card"),
            without=partial(_of_weights, name="bare"),
        ),
        needs=(_write_networks,),
    ),
    "simulation_trained": replace(
        _entry(
            "simulation_trained",
            12,
            scans=partial(_of_weights, name="bare"),
            simulation=partial(_of_weights, name="simulation"),
            then_scan=partial(_of_weights, name="then_scan"),
        ),
        needs=(_write_networks,),
    ),
    "kept_start": replace(
        _entry(
            "kept_start",
            8,
            untrained=partial(_adapted, noise_alone=False),
            noise=partial(_adapted, noise_alone=True),
        ),
        needs=(_write_networks,),
    ),
    "network_behind": _entry(
        "network_behind",
        20,
        ahead=partial(_judged, is_ahead=True),
        behind=partial(_judged, is_ahead=False),
    ),
}
"""Alarms of scans."""
