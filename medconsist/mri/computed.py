"""What a job computes: images, trust record and map of uncertainty of one k-space file."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medconsist.mri.file_of_frames import FileOfFrames, room_of
from medconsist.mri.job import Job
from medconsist.mri.kspace import KSpace
from medconsist.mri.preparation import Coils
from medconsist.mri.prepare import PreparedVolume, prepare_without_maps
from medconsist.mri.readers import read_maps
from medconsist.mri.scan_file import SIMULATED_NOTE, read_reference
from medconsist.mri.shown_first import Judged, Solved, judge_images
from medconsist.mri.trust import MriTrust
from medconsist.mri.uncertainty.scan_map import ScanMap, refuse_other_calibration, scan_map
from medconsist.mri.volumes.overwrite import Slabs
from medconsist.mri.volumes.prepare_volume import prepare_volume
from medconsist.mri.volumes.volume import slabs_within
from medconsist.mri.zerofilled_rss import rss_images
from medconsist.results.schema import ModelRecord
from medconsist.results.steps import timed

__all__ = ["Computed", "compute"]


@dataclass(frozen=True, eq=False)
class Computed:
    """Images by role, the record, and the k-space they came from.

    Parameters
    ----------
    images
        In the units of the k-space file, ``slices height width``; several map sets are combined
        by `combine_sets`.
    methods
        Role to what made it.
    trust
        About the image that is shown first.
    kspace
        Mask, geometry and notes.
    reference
        Of a simulated scan; None for any other.

    Examples
    --------
    >>> import torch
    >>> scan = KSpace(torch.ones(1, 1, 4, 4) + 0j, torch.ones(1, 4, 4) > 0)
    >>> Computed({}, {}, MriTrust.empty(), scan, None).trust.scores
    ()
    """

    images: dict[str, Tensor]
    methods: dict[str, str]
    trust: MriTrust
    kspace: KSpace
    reference: Tensor | None

    def beside(self, made: ScanMap) -> "Computed":
        """Return the same with a map of uncertainty and its note."""
        return replace(
            self,
            methods=self.methods | {made.role: made.method},
            trust=replace(self.trust, maps=self.trust.maps | {made.role: made.values}),
            kspace=self.kspace.with_note(made.note),
        )


def compute(
    job: Job, kspace: KSpace, steps: dict[str, float], *, file: FileOfFrames | None = None
) -> Computed:
    """Reconstruct and judge, slab by slab where the volume is large.

    Parameters
    ----------
    job
        What is wanted.
    kspace
        Its frame; a large volume is overwritten.
    steps
        Where the seconds of each step are added.
    file
        Lends a job its coils, and keeps them for the next frame; None keeps nothing.
    """
    what, reference = job.reconstruction, read_reference(job.input)
    if reference is not None:
        kspace = kspace.with_note(SIMULATED_NOTE)
    if what.combine == "rss":
        with timed(steps, "reconstruction"):
            return _root_sum_of_squares(job, kspace, reference)
    with timed(steps, "prepare"):
        coils = _coils(job, file or FileOfFrames())
        prepared = prepare_volume(kspace, room_of(job), config=what.prepare, coils=coils)
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
    made = _in_units_of_the_file(judged, prepared, what.method.weights, reference)
    if what.uncertainty is None:
        return made
    with timed(steps, "uncertainty"):
        first = asked["reconstruction"]
        return made.beside(scan_map(what.uncertainty, prepared, first, judged, seed=what.seed))


def _in_units_of_the_file(
    judged: Judged, prepared: PreparedVolume, model: ModelRecord | None, reference: Tensor | None
) -> Computed:
    images = {role: one.image * prepared.scale for role, one in judged.by_role.items()}
    methods = {role: one.method.name for role, one in judged.by_role.items()}
    trust = judged.trust.scaled(prepared.scale)
    trust = replace(trust, settings=trust.settings | {"noise_from": prepared.noise_from})
    notes = (*prepared.kspace.notes, *_said_of(model), *judged.notes)
    return Computed(images, methods, trust, replace(prepared.kspace, notes=notes), reference)


def _root_sum_of_squares(job: Job, kspace: KSpace, reference: Tensor | None) -> Computed:
    room = room_of(job)
    parts = slabs_within(kspace.data.shape, sets=0, slab_bytes=room.slab_bytes)
    if len(parts) == 1:
        ready = prepare_without_maps(kspace.to(room.device))
    else:
        ready = prepare_without_maps(kspace, Slabs(parts, torch.device(room.device)))
    images = {"reconstruction": rss_images(ready.data)}
    methods = {"reconstruction": job.reconstruction.method.name}
    note = "Root sum of squares without coil maps: no trust record can be made."
    return Computed(images, methods, MriTrust.empty(), ready.with_note(note), reference)


def _coils(job: Job, file: FileOfFrames) -> Coils:
    if job.maps is not None:
        return Coils(read_maps(job.maps, budget_bytes=job.budget_bytes))
    return Coils(calibration=file.calibration(job))


def _said_of(model: ModelRecord | None) -> tuple[str, ...]:
    if model is None or not model.label:
        return ()
    return (
        f"The network {model.name} is {model.label} (trained on: {model.trained_on}): what images "
        "look like it knows from a simulator. It may add or lose features; compare the others.",
    )
