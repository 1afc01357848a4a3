"""The job of the command line: one k-space file in, one result folder out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import make_record
from medconsist.mri.computed import Computed, compute
from medconsist.mri.file_of_frames import FileOfFrames, read_frame
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.job import RESULT_VERSION, Job
from medconsist.mri.kspace import KSpace
from medconsist.mri.quality import quality_metrics
from medconsist.mri.settings import KIND
from medconsist.mri.uncertainty.scan_map import ROLES as UNCERTAINTY_ROLES
from medconsist.results.cases import Outcome, owner_of_case, publish, same_file
from medconsist.results.schema import ModelRecord, Result, ResultFields, Times
from medconsist.results.steps import timed
from medconsist.results.store import ResultStore
from medconsist.results.trust import TrustRecord, judge_against_history

__all__ = ["RESULT_VERSION", "Job", "reconstruct_file"]

AXES = ("slices", "height", "width")
LETTERS_OF_NAME = 28  # of weights, so that their label fits into the description of a NIfTI
IMAGE_UNIT = "units of the k-space file"
MAP_UNITS = {
    "not_determined": IMAGE_UNIT,
    "refutable_contrast": "share of the reference intensity",
    "matched_filter": "standard deviations",
    **dict.fromkeys(UNCERTAINTY_ROLES, IMAGE_UNIT),
}


def reconstruct_file(job: Job, *, file: FileOfFrames | None = None) -> Outcome:
    """Reconstruct a file into its result folder, or find it done.

    The key is the hash of the input files, the settings and `RESULT_VERSION`. A result is seen
    only whole; a second run with the same key reads no sample and computes nothing.

    Parameters
    ----------
    job
        One image, or one frame of a file.
    file
        Keeps what the frames of a file share, for the next call; None keeps nothing.

    Raises
    ------
    RefusedInputError, MissingInputError, BudgetError
        The input cannot be used, or the case is that of another patient or file; nothing was
        written.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    started, steps = datetime.now(UTC), dict[str, float]()
    store, file = ResultStore(job.out, job.study), file or FileOfFrames()
    # a new case is read first: what cannot be read is refused by its reader
    kspace = None if store.keys(job.case_id) else _read(job, steps)
    config, digests = job.as_config(), file.digests(job)
    key = job.key(digests)
    other = same_file(digests, role="kspace", what="k-space file", name=str(job.input))
    # what a file says of its patient is a default: it moves no case that has an owner
    patient = job.patient or (None if kspace is None else kspace.patient)
    patient = owner_of_case(
        store, job.case_id, patient=patient, refuse=other if job.case is None else None
    )
    if store.is_done(job.case_id, key):
        stored = store.read(job.case_id, key)
        publish_result(store, stored.result)
        return Outcome(stored, fresh=False)
    made = compute(job, _read(job, steps) if kspace is None else kspace, steps, file=file)
    trust = made.trust
    scores = judge_against_history(
        trust.scores,
        store.history.read().lines,
        case=job.case_id,
        group=_group(config, digests, trust.settings),
    )
    fields = make_record(
        ResultFields,
        kind=KIND,
        patient=patient,
        item=job.item_id,
        inputs=digests,
        config=config,
        model=job.reconstruction.method.weights,
        result_version=RESULT_VERSION,
        seed=job.reconstruction.seed,
        device=job.device,
        times=Times(started=started, finished=datetime.now(UTC), steps_s=steps),
        metrics=quality_metrics(made.images, made.reference),
        trust=TrustRecord(scores=scores, maps=tuple(trust.maps), settings=trust.settings),
        notes=made.kspace.notes,
    )
    publish_result(store, _write(store, job.case_id, fields, made))
    return Outcome(store.read(job.case_id, key), fresh=True)


def _read(job: Job, steps: dict[str, float]) -> KSpace:
    with timed(steps, "read"):
        return read_frame(job, job.frame)


def _write(store: ResultStore, case: str, fields: ResultFields, made: Computed) -> Result:
    spacing, affine = made.kspace.voxel_size_mm, made.kspace.affine
    rows = None if affine is None else tuple(tuple(map(float, row)) for row in affine)
    facts: dict[str, Any] = {"spacing_mm": spacing, "orientation": rows}
    arrays = {
        **{role: (image, IMAGE_UNIT) for role, image in made.images.items()},
        **{role: (image, MAP_UNITS[role]) for role, image in made.trust.maps.items()},
        "sampling_mask": (made.kspace.mask, None),
    }
    if made.reference is not None:
        arrays["reference"] = (made.reference, IMAGE_UNIT)
    magnitude = made.images["reconstruction"].abs().cpu()
    shown = _named("reconstruction", made, fields.model)
    first, *labels = shown.get("description", "").rpartition(", ")
    with store.draft(case, fields.key) as draft:
        for role, (array, unit) in arrays.items():
            own = {} if role == "sampling_mask" else facts | _named(role, made, fields.model)
            draft.add_array(role, array.cpu().numpy(), axes=AXES, unit=unit, **own)
        draft.add_file(
            "reconstruction_nifti",
            "reconstruction.nii.gz",
            lambda path: write_nifti(
                path,
                magnitude,
                voxel_size_mm=spacing,
                affine=affine,
                label=first[:LETTERS_OF_NAME] + "".join(labels),
            ),
            axes=AXES,
            shape=tuple(magnitude.shape),
            dtype="float32",
            **(facts | shown),
        )
        return draft.finish(fields)


def _named(role: str, made: Computed, model: ModelRecord | None) -> dict[str, str]:
    """Return the method of an image, and the label that must stand beside it."""
    method = made.methods.get(role)
    if method is None:
        return {}
    if model is None or method != model.name:
        return {"method": method}
    return {"method": method, "description": ", ".join(filter(None, [method, model.label]))}


def publish_result(store: ResultStore, result: Result) -> None:
    """Show a finished result of this task; again on a rerun, as its job may have been killed."""
    publish(store, result, group=_group(result.config, result.inputs, result.trust.settings))


def _group(
    config: Mapping[str, Any], inputs: Mapping[str, str], trust_settings: Mapping[str, Any]
) -> str:
    """Return what later cases are compared within.

    The same settings, whatever the seed, of one `RESULT_VERSION`, with the same kinds of input
    (maps given or estimated) and the same source of the noise level, the unit of the scores; where
    a network took part, about the image of the same method. That anatomy and acceleration are
    alike is not checked.
    """
    alike = {
        "config": {name: value for name, value in config.items() if name != "seed"},
        "maps_given": any(role.startswith("maps") for role in inputs),
        "noise_from": trust_settings.get("noise_from"),
        "result_version": RESULT_VERSION,
    }
    if "shown_first" in trust_settings:
        alike["shown_first"] = trust_settings["shown_first"]
    return sha256_of_bytes(canonical_json(alike))
