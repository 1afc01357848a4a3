"""Files of simulated scans: the fastMRI layout, with the truth in a group of its own.

::

    kspace            slices coils height width      what a reader of fastMRI files sees
    mask              width | height width           as acquired; left out if fully sampled
    medconsist_noise  coils samples                  noise scan, if any
    ismrmrd_header    XML                            matrix, field of view, field strength
    simulation/       reference, lesion_mask, labels, head; the truth, which no method may read
    attributes        acquisition; simulation: generator_hash, config, phantom, said
"""

import io
import json
from dataclasses import asdict
from pathlib import Path
from xml.sax.saxutils import escape

import h5py
import torch

from medconsist import SIMULATED_NOTE
from medconsist._atomic import atomic_write_bytes
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.foreign_hdf5 import Contents, Request, read_foreign_hdf5
from medconsist.mri.kspace import KSpace
from medconsist.mri.phantom.tissue import Contrast
from medconsist.mri.simulate import ScanConfig, SimulatedScan
from medconsist.shapes import RealImages, SamplingMask

__all__ = ["SIMULATED_NOTE", "read_reference", "read_scan", "write_scan"]

_TRUTH = ("reference", "lesion_mask", "labels", "head")
_BUDGET_BYTES = 2**33


def write_scan(scan: SimulatedScan, path: Path) -> None:
    """Write a scan atomically; `read_kspace` reads it as a fastMRI file.

    The affine has no place in the fastMRI layout, so the orientation is unknown to a reader even
    where the scan knows it; `read_scan` restores it from the config.

    Parameters
    ----------
    scan
        What to write.
    path
        A file name ending in ``.h5``; an older file of that name is replaced.

    Raises
    ------
    StorageError
        If the disk is full or the folder is missing; nothing half-written is left.
    RefusedInputError
        If the name does not end in ``.h5``, or the mask differs from slice to slice.
    """
    if path.suffix != ".h5":
        msg = f"{path.name} must end in .h5, by which readers know the layout."
        raise RefusedInputError(msg)
    if scan.kspace.mask.shape[0] != 1:
        msg = "the mask differs from slice to slice; the fastMRI layout has one mask per file."
        raise RefusedInputError(msg)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        _fill(file, scan)
    atomic_write_bytes(path, memory.getvalue())


def read_scan(path: Path, *, budget_bytes: int = _BUDGET_BYTES) -> SimulatedScan:
    """Read a scan with its truth, in the disposable process that opens foreign HDF5.

    Raises
    ------
    RefusedInputError
        If the file is no simulated scan.
    """
    names = ("kspace", "mask", "medconsist_noise", *(f"simulation/{name}" for name in _TRUTH))
    request = Request(
        path=str(path),
        arrays=names,
        texts=("simulation/config", "simulation/generator_hash", "simulation/phantom"),
        budget_bytes=budget_bytes,
    )
    contents = read_foreign_hdf5(request)
    _refuse_other(contents, path)
    arrays = {name: torch.from_numpy(array) for name, array in contents.arrays.items()}
    config = _parse(contents.texts["simulation/config"], path)
    data = arrays["kspace"]
    made_by = contents.texts["simulation/generator_hash"]
    kspace = KSpace(
        data,
        _mask(arrays.get("mask"), data.shape[-2], data.shape[-1]),
        voxel_size_mm=config.voxel_size_mm,
        affine=config.affine,
        noise=arrays.get("medconsist_noise"),
        contrast=config.contrast.name,
        field_strength_t=config.field_strength_t,
        notes=(SIMULATED_NOTE,),
        source={"simulator": made_by},
    )
    return SimulatedScan(
        kspace=kspace,
        reference=arrays["simulation/reference"],
        lesion_mask=arrays["simulation/lesion_mask"].bool(),
        labels=arrays["simulation/labels"],
        head=arrays["simulation/head"].bool(),
        config=config,
        phantom=contents.texts["simulation/phantom"],
        generator_hash=made_by,
    )


def read_reference(path: Path, *, budget_bytes: int = _BUDGET_BYTES) -> RealImages | None:
    """Return the magnitude of the reference of a simulated scan, or None for any other file.

    It has the units and shading of SENSE images of the prepared k-space; see `SimulatedScan`.
    """
    if path.suffix not in (".h5", ".hdf5"):
        return None
    name = "simulation/reference"
    contents = read_foreign_hdf5(Request(str(path), arrays=(name,), budget_bytes=budget_bytes))
    found = contents.arrays.get(name)
    return None if found is None else torch.from_numpy(found).abs()


def _fill(file: h5py.File, scan: SimulatedScan) -> None:
    kspace = scan.kspace
    file["kspace"] = kspace.data.cpu().numpy()
    mask = kspace.mask[0].cpu()
    if not bool(mask.all()):
        lines = bool((mask == mask[:1]).all())
        file["mask"] = (mask[0] if lines else mask).numpy()
    if kspace.noise is not None:
        file["medconsist_noise"] = kspace.noise.cpu().numpy()
    file["ismrmrd_header"] = _header(scan)
    file.attrs["acquisition"] = scan.config.contrast.name
    truth = file.create_group("simulation")
    for name in _TRUTH:
        truth[name] = getattr(scan, name).cpu().numpy()
    truth["config"] = json.dumps(asdict(scan.config), sort_keys=True)
    truth["generator_hash"] = scan.generator_hash
    truth["phantom"] = scan.phantom
    truth.attrs["said"] = SIMULATED_NOTE


def _header(scan: SimulatedScan) -> str:
    """Return the part of the ISMRMRD header that fastMRI's readers use; x is the height."""
    height, width = scan.config.shape
    spacing, rows, columns = scan.config.voxel_size_mm
    space = (
        f"<matrixSize><x>{height}</x><y>{width}</y><z>1</z></matrixSize><fieldOfView_mm>"
        f"<x>{height * rows!r}</x><y>{width * columns!r}</y><z>{spacing!r}</z></fieldOfView_mm>"
    )
    limits = f"<minimum>0</minimum><maximum>{width - 1}</maximum><center>{width // 2}</center>"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"<studyInformation><studyDescription>{escape(SIMULATED_NOTE)}</studyDescription>"
        "</studyInformation><acquisitionSystemInformation><systemFieldStrength_T>"
        f"{scan.kspace.field_strength_t}</systemFieldStrength_T></acquisitionSystemInformation>"
        f"<encoding><encodedSpace>{space}</encodedSpace><reconSpace>{space}</reconSpace>"
        f"<encodingLimits><kspace_encoding_step_1>{limits}</kspace_encoding_step_1>"
        "</encodingLimits><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
    )


def _refuse_other(contents: Contents, path: Path) -> None:
    wanted = (f"simulation/{name}" for name in _TRUTH)
    missing = [name for name in wanted if name not in contents.arrays]
    if missing or "simulation/config" not in contents.texts:
        msg = (
            f"{path.name} is no scan of this simulator (no {', '.join(missing) or 'config'}); "
            "read_kspace reads k-space of any origin."
        )
        raise RefusedInputError(msg)


def _parse(text: str, path: Path) -> ScanConfig:
    try:
        said = json.loads(text)
        contrast = Contrast(**said.pop("contrast"))
        pairs = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
        return ScanConfig(contrast=contrast, **(said | pairs))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        msg = f"{path.name}: its config is not one of this version of the simulator: {error}."
        raise RefusedInputError(msg) from error


def _mask(mask: torch.Tensor | None, height: int, width: int) -> SamplingMask:
    if mask is None:
        return torch.ones(1, height, width, dtype=torch.bool)
    return mask.bool().expand(height, width)[None].clone()
