"""``medconsist mri reconstruct``: k-space files in, results with a trust record out."""

import json
import logging
import math
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from medconsist.cli.batch_options import Batching
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.mri.file_of_frames import FileOfFrames
    from medconsist.mri.job import Job
    from medconsist.mri.methods import Method
    from medconsist.mri.uncertainty.settings import Uncertainty

__all__ = ["Reconstruct"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reconstruct(Batching):
    """Reconstruct k-space files and write a result with its trust record for each.

    INPUT is one or more files, or a manifest (.csv, .parquet) with a row for each. A file is a
    NumPy array (.npy), a BART pair (.cfl/.hdr), Siemens twix (.dat), or HDF5 of fastMRI, ISMRMRD,
    CMRxRecon, SKM-TEA or Calgary-Campinas, fully sampled or undersampled; the sampling mask is
    taken from the file or from its zeros. A volume is split along its readout. A network (cirim)
    is judged against cs on withheld samples and stands second where it is worse. A second run with
    the same input and settings computes nothing and shows that result as the current one. Several
    files are a batch, by default with --engine local; one file is, if --engine is given.
    """

    inputs: Annotated[Positional[tuple[Path, ...]], arg(metavar="INPUT")]
    """K-space files, or one manifest."""
    out: Path
    """Folder of results; made if it is not there."""
    method: Literal["cs", "cgsense", "zerofilled", "cirim", "network"] = "cs"
    """Compressed sensing, CG-SENSE, zero-filled, or a trained network: cirim, or any other by the
    same flags (network)."""
    weights: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """Weights of cirim: cirim (the default), rim, irim, cirim-explicit, or a file of mri train."""
    weights_sha256: Annotated[str | None, arg(metavar="HEX")] = None
    """Refuse other weights than these, e.g. those that an earlier result names."""
    zero_shot: Annotated[
        bool, arg(help="Train cirim on this scan before it is reconstructed; minutes.")
    ] = False
    adapt: bool = False
    """The same with few weights and steps, in seconds. Either is kept only where samples that had
    no part in it say that it gains; the result says which."""
    lambda_: Annotated[float | None, arg(name="lambda", metavar="FLOAT")] = None
    """Weight of the regulariser, in BART's scaling; by default .005 for both methods."""
    regulariser: Literal["wavelet", "tv"] = "wavelet"
    """Regulariser of cs."""
    maps: Path | None = None
    """Coil sensitivity maps (.npy or .cfl); by default estimated by ESPIRiT from the ACS."""
    mask: Path | None = None
    """Sampling mask (.npy or .cfl); by default from the file or its zeros."""
    combine: Literal["sense", "rss"] = "sense"
    """Coil combination; rss needs no maps and goes with zerofilled."""
    map_sets: int = 1
    """Number of ESPIRiT map sets."""
    coils: int | None = None
    """Compress to this many virtual coils; by default all are kept."""
    frame: Annotated[int | Literal["all"] | None, arg(metavar="N|all")] = None
    """Time frame, echo or repetition, from 0; needed where the file holds several. With all, each
    becomes an item of the case, frame-0, frame-1, ...; a file that holds one is that one."""
    maps_frame: Annotated[int | Literal["own"] | None, arg(metavar="N|own")] = None
    """Frame that the coil maps come from, so that phases of frames compare; own lets each frame
    estimate its own. By default 0 with --frame all, own with --frame N."""
    first_axis: Literal["slices", "readout"] | None = None
    """What the first of four axes of a NumPy array, or of fastMRI's layout, is: slices, or the
    readout of a volume, still to be transformed; by default header and energy say it."""
    budget_gib: float = 8.0
    """Most memory that the header of a file may claim for its samples [GiB]."""
    uncertainty: Literal["none", "replica", "splits", "steps"] = "none"
    """Map beside the image: pseudo replicas of the noise, an ensemble over parts of the samples, or
    the steps of cirim."""
    replicas: int | None = None
    """Reconstructions that replica and splits take; 20 by default."""
    calibration: Annotated[Path | None, arg(metavar="FILE")] = None
    """Of mri calibrate: makes the map the half-width of an interval, for its method alone; valid
    under exchangeability only."""
    study: str = "mri"
    """Study that the case belongs to."""
    patient: str | None = None
    """Patient id; by default that of the case's other results, else the case id."""
    case: str | None = None
    """Case id; by default the name of the file."""

    def run(self) -> int:
        """Reconstruct, write, and print where the result is."""
        self.set_up()
        from medconsist.manifests.case_manifest import is_manifest

        if self.engine is not None or len(self.inputs) != 1 or is_manifest(self.inputs[0]):
            return self._run_batch()
        job = self._job(self.inputs[0])
        if self.frame == "all":
            return self._run_frames(job)
        said = self._reconstruct(job)
        sys.stdout.write((said if isinstance(said, str) else json.dumps(said)) + "\n")
        return 0

    def _run_frames(self, job: "Job") -> int:
        from medconsist.mri.all_frames import frame_jobs
        from medconsist.mri.file_of_frames import FileOfFrames

        jobs, found = list(frame_jobs(job, maps=self.maps_frame)), []
        file = FileOfFrames()
        for number, one in enumerate(jobs, start=1):
            logger.info("%s: frame %d of %d ...", job.case_id, number, len(jobs))
            said = self._reconstruct(one, file)
            if isinstance(said, str):
                sys.stdout.write(f"{one.item_id or 'the one frame'} of {said}\n")
            else:
                found.append({"item": one.item_id, **said})
        if self.json:
            sys.stdout.write(json.dumps({"frames": found}) + "\n")
        return 0

    def _reconstruct(self, job: "Job", file: "FileOfFrames | None" = None) -> dict[str, Any] | str:
        """Return what is to be printed of one file, or of one of its frames."""
        from medconsist.mri.report import alarms_of, as_json, as_text
        from medconsist.mri.task import reconstruct_file
        from medconsist.results.store import ResultStore

        outcome = reconstruct_file(job, file=file)
        alarms = alarms_of(ResultStore(self.out, self.study), outcome)
        how = as_json if self.json else as_text
        return how(outcome, alarms=alarms)

    def _run_batch(self) -> int:
        from medconsist.mri.all_frames import frame_jobs
        from medconsist.mri.batch import ReconstructWork, scan_cases

        job = _absolute(self._job(Path("input")))  # each case has its own input
        every = partial(frame_jobs, maps=self.maps_frame, unreadable="kept")
        cases = scan_cases(job, self.inputs, frames=every if self.frame == "all" else None)
        work, engine = ReconstructWork(job=job), self.engine or "local"
        return self.run_cases(work, cases, out=self.out, study=self.study, engine=engine)

    def _job(self, path: Path) -> "Job":
        from medconsist.mri.espirit import EspiritConfig
        from medconsist.mri.job import Job
        from medconsist.mri.prepare import PrepareConfig
        from medconsist.mri.settings import Reconstruction

        if not 0 < self.budget_gib < math.inf:
            msg = f"--budget-gib must be positive and finite, got {self.budget_gib}; 8 is usual."
            raise RefusedInputError(msg)
        espirit = EspiritConfig(sets=self.map_sets)
        return Job(
            input=path,
            out=self.out,
            mask=self.mask,
            maps=self.maps,
            budget_bytes=int(self.budget_gib * 2**30),
            study=self.study,
            case=self.case,
            patient=self.patient,
            device=self.device,
            frame=None if self.frame == "all" else self.frame,
            first_axis=self.first_axis,
            maps_frame=self._maps_frame(),
            reconstruction=Reconstruction(
                method=self._method(),
                combine=self.combine,
                prepare=PrepareConfig(compress_to=self.coils, espirit=espirit),
                seed=self.seed,
                uncertainty=self._uncertainty(),
            ),
        )

    def _maps_frame(self) -> int | None:
        return None if self.frame == "all" or self.maps_frame == "own" else self.maps_frame

    def _uncertainty(self) -> "Uncertainty | None":
        from medconsist.mri.uncertainty.calibration import read_calibration
        from medconsist.mri.uncertainty.settings import Uncertainty

        if self.uncertainty == "none":
            given = {"--replicas": self.replicas, "--calibration": self.calibration}
            unused = [flag for flag, value in given.items() if value is not None]
            if unused:
                msg = (
                    f"{' and '.join(unused)} goes with --uncertainty; take replica, splits, steps."
                )
                raise RefusedInputError(msg)
            return None
        if self.uncertainty == "steps" and self.replicas is not None:
            msg = "--uncertainty steps is of one forward pass; leave --replicas out."
            raise RefusedInputError(msg)
        return Uncertainty(
            kind=self.uncertainty,
            replicas=20 if self.replicas is None else self.replicas,
            calibration=None if self.calibration is None else read_calibration(self.calibration),
        )

    def _method(self) -> "Method":
        from medconsist.mri.learned.choice import Choice
        from medconsist.mri.methods import method_named, refuse_weight_of

        choice = Choice(
            weights=self.weights,
            sha256=self.weights_sha256,
            zero_shot=self.zero_shot,
            adapt=self.adapt,
            seed=self.seed,
        )
        if self.method in ("cirim", "network"):
            refuse_weight_of(self.method, lambda_=self.lambda_, regulariser=self.regulariser)
            return choice.method()
        choice.refuse_unused(self.method)
        return method_named(self.method, lambda_=self.lambda_, regulariser=self.regulariser)


def _absolute(job: "Job") -> "Job":
    """Return the job with paths that hold in every process."""
    return replace(
        job,
        out=job.out.absolute(),
        mask=None if job.mask is None else job.mask.absolute(),
        maps=None if job.maps is None else job.maps.absolute(),
    )
