"""Fully sampled k-space files of the user, split by patient and undersampled here."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from medconsist._digests import sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.split import make_split, write_split
from medconsist.manifests.split_record import PartName, Split, SplitPlan
from medconsist.mri.bench.learned.scans import DrawnScan, SliceKind
from medconsist.mri.benchmark.cells import TRAINED_ON, ShiftedCell, cells_of
from medconsist.mri.benchmark.design import LEAST_SCANS, Design
from medconsist.mri.benchmark.sources import Source
from medconsist.mri.draw_seeds import Role
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import combine_sets
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.prepare import PrepareConfig, Prepared, prepare
from medconsist.mri.readers.reader import read_kspace
from medconsist.mri.scan_pool import ScanPool, stored_pool

__all__ = ["ManifestScans", "manifest_scans", "write_benchmark_split"]

logger = logging.getLogger(__name__)

COILS = 8
_TEST_SHARE = 0.4  # more than usual: intervals come from these scans
_PARTS: Mapping[Role, PartName] = {
    "training": "train",
    "validation": "validation",
    "test": "test",
}
_ABLE = ("", "acceleration", "pattern", "maps")  # shifts that a file can be given afterwards
_QUANTILE = 0.99


@dataclass(frozen=True, eq=False)
class ManifestScans(Source):
    """Scans of a case manifest, one a patient and contrast where they are judged.

    A scan is ``training_slices`` of its slices, evenly spaced, and the central ``size x size`` of
    its k-space: it is fully sampled at a lower resolution. More than 8 coils are compressed to 8.
    The reference is the SENSE combination ``|A^H y|`` of the full samples, with the maps that every
    method gets; its noise is in it, so that no method can reach it. The shifts are those of
    acceleration, pattern and maps, and of contrast where the column ``label`` names it; coil number
    and noise stay as they are.

    Parameters
    ----------
    design
        Sizes and seed.
    rows
        By role, those that are used.
    split
        By patient.

    Examples
    --------
    See `manifest_scans`, which makes one.
    """

    design: Design
    rows: Mapping[Role, tuple[CaseRow, ...]]
    split: Split

    @property
    def anatomy(self) -> str:
        """As the manifest calls them."""
        return "scans of the manifest"

    @property
    def unit(self) -> str:
        """One scan of a patient."""
        return "scan, one a patient"

    @property
    def cells(self) -> tuple[ShiftedCell, ...]:
        """Those that the files can fill."""
        labels, trained_on = self._labels, self._trained_on
        found = [_of_files(cell, trained_on) for cell in cells_of(self.design.size)]
        kept = [cell for cell in found if cell.shift in _ABLE]
        if trained_on is not None:
            kept += [
                cell for cell in found if cell.shift == "contrast" and cell.scans.contrast in labels
            ]
        only = self.design.only_cells
        return tuple(cell for cell in kept if only is None or cell.name in only)

    def count(self, role: Role, kind: SliceKind) -> int:
        """Return the number of patients with such a scan, at most that of the design."""
        design = self.design
        most = design.validation_scans if role == "validation" else design.scans
        return min(most, len(self._of_kind(role, kind)))

    def scan(self, role: Role, number: int, kind: SliceKind) -> DrawnScan:
        """Read one file."""
        row = self._of_kind(role, kind)[number]
        made = _prepared(row.path, self.design)
        seed = int(sha256_of_bytes(f"{self.design.seed} {row.case} {row.item}".encode())[:7], 16)
        return DrawnScan(
            samples=made.kspace.data,
            maps=made.measurement.maps,
            sigma=made.measurement.sigma * made.scale,
            reference=_reference(made) * made.scale,
            mask_seed=seed,
        )

    def pool(self, role: Role, folder: Path) -> ScanPool:
        """Read the files of a role once; of one contrast where labels name it."""

        def make() -> ScanPool:
            rows = self._of_kind(role, SliceKind(contrast=self._trained_on))
            rows = rows[: self.design.training_scans]
            logger.info("reading %d files of %s ...", len(rows), role)
            parts = [_slices(_prepared(row.path, self.design)) for row in rows]
            return ScanPool(*(torch.cat(values) for values in zip(*parts, strict=True)))

        return stored_pool(folder / f"pool-{role}.safetensors", make)

    def as_config(self) -> Mapping[str, Any]:
        """Return the split and the files."""
        files = {
            f"{row.case}/{row.item}": [row.path.name, row.path.stat().st_size]
            for rows in self.rows.values()
            for row in rows
        }
        return {"source": "manifest", "split": self.split.sha256, "files": files}

    @property
    def _labels(self) -> set[str | None]:
        return {row.label for row in self.rows["test"]}

    @property
    def _trained_on(self) -> str | None:
        """The one contrast of training, in every role; None for all, where no test scan has it."""
        return TRAINED_ON if TRAINED_ON in self._labels else None

    def _of_kind(self, role: Role, kind: SliceKind) -> list[CaseRow]:
        """Return rows of that contrast; in validation and test the first of each patient."""
        found = [row for row in self.rows[role] if kind.contrast in (None, row.label)]
        if role == "training":
            return found
        first = {row.patient: row for row in reversed(found)}
        return [row for row in found if first[row.patient] is row]


def manifest_scans(design: Design, manifest: Path) -> ManifestScans:
    """Read a manifest and split its patients: 60 % for training and validation, 40 % test.

    Parameters
    ----------
    design
        Its seed draws the split; rows that say ``test`` in the column ``split`` are the test.
    manifest
        See ``medconsist manifest check``. The column ``label`` names the contrast: ``T1w`` is
        trained on where there is any, and other names of the simulator's (``FLAIR``, ``T2w``) are
        the contrast shift.

    Raises
    ------
    MissingInputError, RefusedInputError
        The manifest is not there or has faults, or has too few patients.
    """
    rows = read_case_manifest(manifest).rows
    given = any(row.split == "test" for row in rows)
    plan = SplitPlan(seed=design.seed, test=_TEST_SHARE, given="test" if given else "ignored")
    split = make_split(rows, plan)
    (dealt,) = split.rounds
    by_role = {role: _rows_of(rows, dealt.part(part)) for role, part in _PARTS.items()}
    source = ManifestScans(design, by_role, split)
    _refuse_few(source, manifest)
    return source


def write_benchmark_split(source: ManifestScans, folder: Path) -> None:
    """Write ``split.json`` into the folder of results."""
    write_split(source.split, folder / "split.json")


def _rows_of(rows: Sequence[CaseRow], patients: Sequence[str]) -> tuple[CaseRow, ...]:
    return tuple(row for row in rows if row.patient in set(patients))


def _refuse_few(source: ManifestScans, manifest: Path) -> None:
    kinds = {cell.scans for cell in source.cells}
    needed: Mapping[Role, int] = {"training": 1, "validation": 1, "test": LEAST_SCANS}
    for role, least in needed.items():
        few = [kind for kind in kinds if _needs(role, kind) and source.count(role, kind) < least]
        if few or not kinds:
            said = few[0].contrast if few else None
            msg = (
                f"{manifest} leaves fewer than {least} patients for {role}"
                f"{f' with scans labelled {said}' if said else ''}; give more patients, or leave "
                "the labels of a rare contrast empty."
            )
            raise RefusedInputError(msg)


def _needs(role: Role, kind: SliceKind) -> bool:
    """Say whether scans of a contrast are needed in a role: training sees one alone."""
    return role != "training" or kind.contrast in (None, TRAINED_ON)


def _of_files(cell: ShiftedCell, trained_on: str | None) -> ShiftedCell:
    contrast = cell.scans.contrast if cell.shift == "contrast" else trained_on
    return replace(cell, scans=SliceKind(contrast=contrast, size=cell.scans.size))


def _prepared(path: Path, design: Design) -> Prepared:
    kspace = read_kspace(path)
    if not bool(kspace.mask.all()):
        msg = (
            f"{path.name} is undersampled ({kspace.acceleration:.3g}x); allowed: fully sampled "
            "k-space, which is undersampled here and compared with itself. Take it out of the "
            "manifest."
        )
        raise RefusedInputError(msg)
    low = _at_size(remove_readout_oversampling(kspace), design, path.name)
    compress = COILS if low.data.shape[1] > COILS else None
    return prepare(low, config=PrepareConfig(compress_to=compress))


def _at_size(kspace: KSpace, design: Design, name: str) -> KSpace:
    slices, _, height, width = kspace.data.shape
    size = design.size
    if min(height, width) < size:
        msg = (
            f"{name} has planes of {height} x {width}, and {size} x {size} were asked for; take a "
            "smaller --size, or leave the file out."
        )
        raise RefusedInputError(msg)
    places = torch.linspace(0, slices - 1, min(slices, design.training_slices) + 2)[1:-1]
    chosen = sorted({round(place) for place in places.tolist()}) if slices > 2 else [slices // 2]
    top, left = height // 2 - size // 2, width // 2 - size // 2
    data = kspace.data[chosen][..., top : top + size, left : left + size].contiguous()
    mask = torch.ones(1, size, size, dtype=torch.bool)
    return replace(kspace, data=data, mask=mask, recon_matrix=(None, None))


def _reference(made: Prepared) -> torch.Tensor:
    """Return ``|A^H y|`` of the full samples, at unit scale."""
    measurement = made.measurement
    return combine_sets(measurement.operator.H(measurement.samples)).abs()


def _slices(made: Prepared) -> tuple[torch.Tensor, ...]:
    """Return what a `ScanPool` holds of a scan; absent coils measure nothing."""
    measurement, reference = made.measurement, _reference(made)
    scale = reference.flatten(1).quantile(_QUANTILE, dim=1)
    samples = measurement.samples / scale[:, None, None, None]
    missing = (0, 0, 0, 0, 0, COILS - samples.shape[1])
    pad = torch.nn.functional.pad
    return (
        pad(samples, missing),
        pad(measurement.maps[:, 0], missing),
        measurement.sigma / scale,
        reference / scale[:, None, None],
    )
