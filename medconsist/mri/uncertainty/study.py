"""A calibration from the finished results of a study: scans with references and maps."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medconsist import SIMULATED_NOTE
from medconsist._digests import canonical_json
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.settings import KIND
from medconsist.mri.shown_first import LEARNED_ROLE
from medconsist.mri.uncertainty.calibration import VALIDITY, Calibration, Wanted, calibrate
from medconsist.mri.uncertainty.scan_conformal import error_ratios
from medconsist.mri.uncertainty.scan_map import ROLES
from medconsist.mri.uncertainty.settings import deciding_settings
from medconsist.results.store import ResultStore, StoredResult

__all__ = ["calibrate_study"]

_SIMULATED = (
    f"{VALIDITY}, and {{n}} of them are scans of this simulator: it promises nothing of a real scan"
)
_IMAGES = dict(zip(ROLES, ("reconstruction", LEARNED_ROLE), strict=True))


@dataclass
class _Found:
    """What the results of a study gave so far."""

    ratios: list[Tensor] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    patients: set[str] = field(default_factory=set)
    simulated: int = 0
    settings: dict[str, Any] | None = None


def calibrate_study(root: Path, study: str, wanted: Wanted) -> Calibration:
    """Return the calibration of the current results of a study that hold map and reference.

    One scan a patient: two of one patient are more alike than those of two, and exchangeable with
    nobody's. Results without a reference or a map are left out. References are of simulated scans
    as long as no reader brings another; the record then says so.

    Parameters
    ----------
    root, study
        Where the results lie.
    wanted
        What the calibration is to promise.

    Raises
    ------
    MissingInputError
        There is no such study.
    RefusedInputError
        No result has both, they are of different methods or settings, a patient has two scans, a
        map is a half-width already, or there are too few scans for alpha.
    """
    if not (root / study).is_dir():
        msg = (
            f"{root / study} is not there. Pass the folder that was given to --out, and the study "
            "as --study."
        )
        raise MissingInputError(msg)
    store, found = ResultStore(root, study), _Found()
    for case in store.cases():
        if store.current(case) is not None:
            _count(store.read(case), case, found)
    if found.settings is None:
        msg = (
            f"no result in {root / study} has both a reference and a map of uncertainty. "
            "Reconstruct scans that carry a reference with --uncertainty replica, splits or steps."
        )
        raise RefusedInputError(msg)
    validity = _SIMULATED.format(n=found.simulated) if found.simulated else VALIDITY
    return calibrate(
        found.ratios, wanted, scans=found.scans, settings=found.settings, validity=validity
    )


def _count(stored: StoredResult, case: str, found: _Found) -> None:
    result = stored.result
    role = next((role for role in ROLES if role in stored.roles()), None)
    if result.kind != KIND or role is None or "reference" not in stored.roles():
        return
    settings = _settings_of(stored, case)
    if found.settings is not None and canonical_json(found.settings) != canonical_json(settings):
        msg = (
            f"case {case} has other settings than the cases before it, and one calibration is of "
            "one method. Reconstruct all cases alike, or give each method a --study of its own."
        )
        raise RefusedInputError(msg)
    patient = result.patient or case
    if patient in found.patients:
        msg = (
            f"patient {patient} has two scans in the study, which are not exchangeable with those "
            "of others. Keep one scan a patient."
        )
        raise RefusedInputError(msg)
    image, reference, spread = (
        torch.from_numpy(stored.array(name)) for name in (_IMAGES[role], "reference", role)
    )
    found.ratios.append(error_ratios(image, reference, spread).double())
    found.scans.append(f"{case}/{result.key}")
    found.patients.add(patient)
    found.simulated += SIMULATED_NOTE in result.notes
    found.settings = settings


def _settings_of(stored: StoredResult, case: str) -> dict[str, Any]:
    config, trust = stored.result.config, stored.result.trust.settings
    given: Any = config["uncertainty"]
    if given["calibration"] is not None:
        msg = (
            f"the map of case {case} is the half-width of a calibration already. Reconstruct it "
            "without --calibration."
        )
        raise RefusedInputError(msg)
    return deciding_settings(
        config,
        maps_given=any(name.startswith("maps") for name in stored.result.inputs),
        noise_from=str(trust["noise_from"]),
    )
