"""The job of the command line: one k-space file in, one result folder out."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.cfl import cfl_pair
from medconsist.mri.formats.files import require_file
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import rss
from medconsist.mri.prepare import prepare, prepare_without_maps
from medconsist.mri.quality import quality_metrics
from medconsist.mri.readers import read_kspace, read_maps
from medconsist.mri.scan_file import SIMULATED_NOTE, read_reference
from medconsist.mri.settings import KIND, Reconstruction
from medconsist.mri.trust import MriTrust, judge
from medconsist.results.digests import canonical_json, result_key, sha256_of_bytes, sha256_of_path
from medconsist.results.ids import safe_id
from medconsist.results.records import make_record
from medconsist.results.schema import Result, ResultFields, Times
from medconsist.results.store import ResultStore, StoredResult
from medconsist.results.trust import TrustRecord, judge_against_history

__all__ = ["RESULT_VERSION", "Job", "Outcome", "reconstruct_file"]

RESULT_VERSION = 1  # raise it when the arrays or scores of the same input and settings change
AXES = ("slices", "height", "width")
IMAGE_UNIT = "units of the k-space file"
MAP_UNITS = {
    "not_determined": IMAGE_UNIT,
    "refutable_contrast": "share of the reference intensity",
    "matched_filter": "standard deviations",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to reconstruct, and where the result goes.

    Parameters
    ----------
    input, mask, maps
        Files; mask and maps may be None.
    out, study, case, patient
        The result is ``out/study/case/<key>``; ids are opaque, by default the name of the file.
    reconstruction
        See its class.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    RefusedInputError
        An id is not a safe name.
    """

    input: Path
    out: Path
    reconstruction: Reconstruction
    mask: Path | None = None
    maps: Path | None = None
    study: str = "mri"
    case: str | None = None
    patient: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for what, value in {"study": self.study, "patient": self.patient}.items():
            if value is not None:
                safe_id(value, what=f"{what} id")
        try:
            safe_id(self.case_id, what="case id")
        except RefusedInputError as error:
            msg = f"{error} Give the case another name by --case NAME."
            raise RefusedInputError(msg) from error

    @property
    def case_id(self) -> str:
        """The case id: as given, else the name of the file without its suffix."""
        if self.case is not None:
            return self.case
        return self.input.name.removesuffix("".join(self.input.suffixes[-1:]))

    @property
    def patient_id(self) -> str:
        """The patient id: as given, else the case id."""
        return self.case_id if self.patient is None else self.patient

    def input_digests(self) -> dict[str, str]:
        """Return role to sha256 of every file that is read."""
        named = {"kspace": self.input, "mask": self.mask, "maps": self.maps}
        return {
            role + suffix: sha256_of_path(file)
            for role, path in named.items()
            if path is not None
            for suffix, file in _parts(path).items()
        }


@dataclass(frozen=True)
class Outcome:
    """A finished result, and whether this run made it.

    Parameters
    ----------
    stored
        The result.
    fresh
        False if it was done before and nothing was computed.
    """

    stored: StoredResult
    fresh: bool


@dataclass(frozen=True, eq=False)
class _Volume:
    """What was computed for one file: images by role, the record, the k-space they came from."""

    images: dict[str, Tensor]
    trust: MriTrust
    kspace: KSpace
    reference: Tensor | None


def reconstruct_file(job: Job) -> Outcome:
    """Reconstruct a file into its result folder, or find it done.

    The key is the hash of the input files, the settings and `RESULT_VERSION`. A result is seen
    only whole; a second run with the same key computes nothing.

    Raises
    ------
    RefusedInputError, MissingInputError, BudgetError
        The input cannot be used, or the case is done for another patient; nothing was written.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    started, steps = datetime.now(UTC), dict[str, float]()
    with _timed(steps, "read"):
        kspace = read_kspace(job.input, mask=job.mask).to(job.device)
    config, digests = job.reconstruction.as_config(), job.input_digests()
    key = result_key(
        inputs=digests, config=config, model_sha256=None, result_version=RESULT_VERSION
    )
    store = ResultStore(job.out, job.study)
    if store.is_done(job.case_id, key):
        stored = store.read(job.case_id, key)
        _refuse_other_patient(job, stored.result)
        _publish(store, stored.result)
        return Outcome(stored, fresh=False)
    volume = _compute(job, kspace, steps)
    trust = volume.trust
    scores = judge_against_history(
        trust.scores, store.history.read().lines, case=job.case_id, group=_group(config)
    )
    fields = make_record(
        ResultFields,
        kind=KIND,
        patient=job.patient_id,
        inputs=digests,
        config=config,
        result_version=RESULT_VERSION,
        seed=job.reconstruction.seed,
        device=job.device,
        times=Times(started=started, finished=datetime.now(UTC), steps_s=steps),
        metrics=quality_metrics(volume.images, volume.reference),
        trust=TrustRecord(scores=scores, maps=tuple(trust.maps), settings=trust.settings),
        notes=volume.kspace.notes,
    )
    _publish(store, _write(store, job.case_id, fields, volume))
    return Outcome(store.read(job.case_id, key), fresh=True)


def _refuse_other_patient(job: Job, result: Result) -> None:
    if job.patient is not None and job.patient != result.patient:
        msg = (
            f"case {result.case} is done and belongs to patient {result.patient}, got --patient "
            f"{job.patient}; what is written stays. Give another --case, or leave --patient out."
        )
        raise RefusedInputError(msg)


def _compute(job: Job, kspace: KSpace, steps: dict[str, float]) -> _Volume:
    what = job.reconstruction
    reference = read_reference(job.input)
    if reference is not None:
        kspace = kspace.with_note(SIMULATED_NOTE)
    if what.combine == "rss":
        with _timed(steps, "reconstruction"):
            ready = prepare_without_maps(kspace)
            images = {"reconstruction": rss(ready.data)}
        note = "Root sum of squares without coil maps: no trust record can be made."
        return _Volume(images, MriTrust.empty(), ready.with_note(note), reference)
    with _timed(steps, "prepare"):
        maps = None if job.maps is None else read_maps(job.maps)
        prepared = prepare(kspace, config=what.prepare, maps=maps)
    measurement = prepared.measurement
    images = {}
    for role, method in what.by_role.items():
        with _timed(steps, role):
            images[role] = method.fixed(measurement)(measurement)
    with _timed(steps, "trust"):
        trust = judge(
            what.method.fixed(measurement),
            measurement,
            images["reconstruction"],
            keep_region=prepared.calibration,
            config=what.trust,
            generator=torch.Generator().manual_seed(what.seed),
        )
    scaled = {role: image * prepared.scale for role, image in images.items()}
    return _Volume(scaled, trust.scaled(prepared.scale), prepared.kspace, reference)


def _write(store: ResultStore, case: str, fields: ResultFields, volume: _Volume) -> Result:
    spacing, affine = volume.kspace.voxel_size_mm, volume.kspace.affine
    rows = None if affine is None else tuple(tuple(map(float, row)) for row in affine)
    facts: dict[str, Any] = {"spacing_mm": spacing, "orientation": rows}
    arrays = {
        **{role: (image, IMAGE_UNIT) for role, image in volume.images.items()},
        **{role: (image, MAP_UNITS[role]) for role, image in volume.trust.maps.items()},
        "sampling_mask": (volume.kspace.mask, None),
    }
    if volume.reference is not None:
        arrays["reference"] = (volume.reference, IMAGE_UNIT)
    magnitude = volume.images["reconstruction"].abs().cpu()
    with store.draft(case, fields.key) as draft:
        for role, (array, unit) in arrays.items():
            own = {} if role == "sampling_mask" else facts
            draft.add_array(role, array.cpu().numpy(), axes=AXES, unit=unit, **own)
        draft.add_file(
            "reconstruction_nifti",
            "reconstruction.nii.gz",
            lambda path: write_nifti(path, magnitude, voxel_size_mm=spacing, affine=affine),
            axes=AXES,
            shape=tuple(magnitude.shape),
            dtype="float32",
            **facts,
        )
        return draft.finish(fields)


def _publish(store: ResultStore, result: Result) -> None:
    """Show this key and remember its scores; both do nothing where they are done already."""
    store.remember(result, group=_group(result.config))
    if store.current(result.case) != result.key:
        store.set_current(result.case, result.key)


def _group(config: dict[str, Any]) -> str:
    """Return what later cases are compared within: the same settings, whatever the seed."""
    return sha256_of_bytes(canonical_json({k: v for k, v in config.items() if k != "seed"}))


def _parts(path: Path) -> dict[str, Path]:
    """Return the files of an input by the suffix of their role: two for a BART pair."""
    if path.is_file() and path.suffix not in (".cfl", ".hdr"):
        return {"": path}
    if path.suffix == ".npy":
        require_file(path)
    header, samples = sorted(cfl_pair(path), key=lambda file: file.suffix, reverse=True)
    return {"_hdr": header, "_cfl": samples}


@contextmanager
def _timed(steps: dict[str, float], name: str) -> Iterator[None]:
    logger.info("%s ...", name)
    start = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - start
