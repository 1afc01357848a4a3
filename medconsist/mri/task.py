"""The job of the command line: one k-space file in, one result folder out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medconsist._digests import canonical_json, sha256_of_bytes, sha256_of_path
from medconsist._ids import safe_id
from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.cfl import cfl_pair
from medconsist.mri.formats.files import require_file
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import rss
from medconsist.mri.prepare import prepare, prepare_without_maps
from medconsist.mri.quality import quality_metrics
from medconsist.mri.readers import DEFAULT_BUDGET_BYTES, read_kspace, read_maps
from medconsist.mri.scan_file import SIMULATED_NOTE, read_reference
from medconsist.mri.settings import KIND, Reconstruction
from medconsist.mri.shown_first import Solved, judge_images
from medconsist.mri.trust import MriTrust
from medconsist.mri.uncertainty.scan_map import ROLES as UNCERTAINTY_ROLES
from medconsist.mri.uncertainty.scan_map import ScanMap, refuse_other_calibration, scan_map
from medconsist.results.cases import Outcome, owner_of_case, publish, same_file
from medconsist.results.digests import result_key
from medconsist.results.schema import ModelRecord, Result, ResultFields, Times
from medconsist.results.steps import timed
from medconsist.results.store import ResultStore
from medconsist.results.trust import TrustRecord, judge_against_history

__all__ = ["RESULT_VERSION", "Job", "reconstruct_file"]

RESULT_VERSION = 1  # raise it when the arrays or scores of the same input and settings change
AXES = ("slices", "height", "width")
LETTERS_OF_NAME = 28  # of weights, so that their label fits into the description of a NIfTI
IMAGE_UNIT = "units of the k-space file"
MAP_UNITS = {
    "not_determined": IMAGE_UNIT,
    "refutable_contrast": "share of the reference intensity",
    "matched_filter": "standard deviations",
    **dict.fromkeys(UNCERTAINTY_ROLES, IMAGE_UNIT),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to reconstruct, and where the result goes.

    Parameters
    ----------
    input, mask, maps
        Files; mask and maps may be None.
    out, study, case, patient, item
        The result is ``out/study/case/<key>``; ids are opaque. The case is by default the name of
        the file, the patient that of the case's other results, else the case. The item is by
        default the frame, if one was asked for.
    reconstruction
        See its class.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    budget_bytes
        Most bytes that the header of an input may claim for its samples.
    frame
        Which time frame, echo or repetition of the file; None for a file that holds one.

    Raises
    ------
    RefusedInputError
        An id is not a safe name, or maps are given to a reconstruction that would not use them as
        they are.
    """

    input: Path
    out: Path
    reconstruction: Reconstruction
    mask: Path | None = None
    maps: Path | None = None
    study: str = "mri"
    case: str | None = None
    patient: str | None = None
    item: str | None = None
    device: str = "cpu"
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    frame: int | None = None

    def __post_init__(self) -> None:
        if self.maps is not None:
            self.reconstruction.refuse_unused_maps()
        for what, value in {
            "study": self.study,
            "patient": self.patient,
            "item": self.item,
        }.items():
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
    def item_id(self) -> str | None:
        """The item id: as given, else that of the frame; None if there is neither."""
        if self.item is not None or self.frame is None:
            return self.item
        return f"frame-{self.frame}"

    def key(self, digests: Mapping[str, str]) -> str:
        """Return the key of the result of files with these `input_digests`."""
        model = self.reconstruction.method.weights
        return result_key(
            inputs=digests,
            config=self.as_config(),
            model_sha256=None if model is None else model.sha256,
            result_version=RESULT_VERSION,
        )

    def as_config(self) -> dict[str, Any]:
        """Return what decides the bytes apart from the input, as plain JSON values."""
        chosen = {} if self.frame is None else {"frame": self.frame}
        return self.reconstruction.as_config() | chosen

    def input_digests(self) -> dict[str, str]:
        """Return role to sha256 of every file that is read."""
        named = {"kspace": self.input, "mask": self.mask, "maps": self.maps}
        return {
            role + suffix: sha256_of_path(file.resolve())  # inputs may be links
            for role, path in named.items()
            if path is not None
            for suffix, file in _parts(path).items()
        }


@dataclass(frozen=True, eq=False)
class _Volume:
    """What was computed for one file: images by role, the record, the k-space they came from."""

    images: dict[str, Tensor]
    methods: dict[str, str]
    trust: MriTrust
    kspace: KSpace
    reference: Tensor | None

    def beside(self, made: ScanMap) -> "_Volume":
        """Return the volume with a map of uncertainty and its note."""
        return replace(
            self,
            methods=self.methods | {made.role: made.method},
            trust=replace(self.trust, maps=self.trust.maps | {made.role: made.values}),
            kspace=self.kspace.with_note(made.note),
        )


def reconstruct_file(job: Job) -> Outcome:
    """Reconstruct a file into its result folder, or find it done.

    The key is the hash of the input files, the settings and `RESULT_VERSION`. A result is seen
    only whole; a second run with the same key computes nothing.

    Raises
    ------
    RefusedInputError, MissingInputError, BudgetError
        The input cannot be used, or the case is that of another patient or file; nothing was
        written.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    started, steps = datetime.now(UTC), dict[str, float]()
    with timed(steps, "read"):
        kspace = read_kspace(
            job.input, mask=job.mask, budget_bytes=job.budget_bytes, frame=job.frame
        ).to(job.device)
    config, digests = job.as_config(), job.input_digests()
    key = job.key(digests)
    store = ResultStore(job.out, job.study)
    other = same_file(digests, role="kspace", what="k-space file", name=str(job.input))
    patient = owner_of_case(
        store, job.case_id, patient=job.patient, refuse=other if job.case is None else None
    )
    if store.is_done(job.case_id, key):
        stored = store.read(job.case_id, key)
        publish_result(store, stored.result)
        return Outcome(stored, fresh=False)
    volume = _compute(job, kspace, steps)
    trust = volume.trust
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
        metrics=quality_metrics(volume.images, volume.reference),
        trust=TrustRecord(scores=scores, maps=tuple(trust.maps), settings=trust.settings),
        notes=volume.kspace.notes,
    )
    publish_result(store, _write(store, job.case_id, fields, volume))
    return Outcome(store.read(job.case_id, key), fresh=True)


def _compute(job: Job, kspace: KSpace, steps: dict[str, float]) -> _Volume:
    what = job.reconstruction
    reference = read_reference(job.input)
    if reference is not None:
        kspace = kspace.with_note(SIMULATED_NOTE)
    if what.combine == "rss":
        with timed(steps, "reconstruction"):
            ready = prepare_without_maps(kspace)
            images = {"reconstruction": rss(ready.data)}
        note = "Root sum of squares without coil maps: no trust record can be made."
        methods = {"reconstruction": what.method.name}
        return _Volume(images, methods, MriTrust.empty(), ready.with_note(note), reference)
    with timed(steps, "prepare"):
        maps = None if job.maps is None else read_maps(job.maps, budget_bytes=job.budget_bytes)
        prepared = prepare(kspace, config=what.prepare, maps=maps)
    measurement = prepared.measurement
    refuse_other_calibration(
        what.uncertainty, job.as_config(), prepared, maps_given=job.maps is not None
    )
    asked = {}
    for role, method in what.by_role.items():
        with timed(steps, role):
            asked[role] = Solved.of(method.rescaled(1 / prepared.scale), measurement)
    with timed(steps, "trust"):
        judged = judge_images(
            asked,
            measurement,
            keep_region=prepared.calibration,
            config=what.trust,
            generator=torch.Generator().manual_seed(what.seed),
        )
    images = {role: one.image * prepared.scale for role, one in judged.by_role.items()}
    methods = {role: one.method.name for role, one in judged.by_role.items()}
    trust = judged.trust.scaled(prepared.scale)
    trust = replace(trust, settings=trust.settings | {"noise_from": prepared.noise_from})
    notes = (*prepared.kspace.notes, *_said_of(what.method.weights), *judged.notes)
    volume = _Volume(images, methods, trust, replace(prepared.kspace, notes=notes), reference)
    if what.uncertainty is None:
        return volume
    with timed(steps, "uncertainty"):
        first = asked["reconstruction"]
        return volume.beside(scan_map(what.uncertainty, prepared, first, judged, seed=what.seed))


def _said_of(model: ModelRecord | None) -> tuple[str, ...]:
    if model is None or not model.label:
        return ()
    return (
        f"The network {model.name} is {model.label} (trained on: {model.trained_on}): what images "
        "look like it knows from a simulator. It may add or lose features; compare the others.",
    )


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
    shown = _named("reconstruction", volume, fields.model)
    first, *labels = shown.get("description", "").rpartition(", ")
    with store.draft(case, fields.key) as draft:
        for role, (array, unit) in arrays.items():
            own = {} if role == "sampling_mask" else facts | _named(role, volume, fields.model)
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


def _named(role: str, volume: _Volume, model: ModelRecord | None) -> dict[str, str]:
    """Return the method of an image, and the label that must stand beside it."""
    method = volume.methods.get(role)
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


def _parts(path: Path) -> dict[str, Path]:
    """Return the files of an input by the suffix of their role: two for a BART pair."""
    if path.is_file() and path.suffix not in (".cfl", ".hdr"):
        return {"": path}
    if path.suffix == ".npy":
        require_file(path)
    header, samples = sorted(cfl_pair(path), key=lambda file: file.suffix, reverse=True)
    return {"_hdr": header, "_cfl": samples}
