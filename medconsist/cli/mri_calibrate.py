"""``medconsist mri calibrate``: a factor that makes a map of uncertainty an interval."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common

__all__ = ["Calibrate"]


@dataclass(frozen=True, kw_only=True)
class Calibrate(Common):
    """Make a calibration from finished results that hold a map of uncertainty and a reference.

    The cases must be like those to come, and none of them may have trained or tuned the method:
    then, and only then, the promise holds for a new scan (exchangeability; it is not checked). One
    scan a patient. The file is for reconstruct --calibration, with the same method and settings.
    """

    results: Annotated[Positional[Path], arg(metavar="RESULTS")]
    """Folder of results, as given to --out of reconstruct --uncertainty."""
    out: Path
    """The calibration (.json); replaced if it is there."""
    study: str = "mri"
    """Study to calibrate on."""
    promise: Literal["scans", "pixels"] = "scans"
    """scans: with probability 1 - alpha a scan has at least 1 - share of its pixels covered;
    pixels: the expected share of a scan's uncovered pixels is at most alpha."""
    alpha: float = 0.1
    """See promise; scans needs 1 / alpha - 1 cases or more."""
    share: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Pixels that may be uncovered, for scans; .1 by default."""

    def run(self) -> int:
        """Calibrate, write, and print what it promises and the path."""
        self.set_up()
        from medconsist.errors import RefusedInputError
        from medconsist.mri.uncertainty.calibration import Wanted
        from medconsist.mri.uncertainty.study import calibrate_study

        if self.promise == "pixels" and self.share is not None:
            msg = "--share goes with --promise scans; leave it out."
            raise RefusedInputError(msg)
        share = 0.1 if self.share is None else self.share
        wanted = Wanted(promise=self.promise, alpha=self.alpha, share=share)
        made = calibrate_study(self.results, self.study, wanted)
        made.save(self.out)
        said = {"calibration": str(self.out), "id": made.id, "n": made.n, "factor": made.factor}
        words = f"{made.words}; factor {made.factor:.4g}, id {made.id[:12]}\n{self.out}"
        text = json.dumps(said | {"said": made.words}) if self.json else words
        sys.stdout.write(f"{text}\n")
        return 0
