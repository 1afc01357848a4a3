"""One scan of ``medconsist bench mri-adapt``: as the network is, and adapted to it."""

from dataclasses import dataclass, replace
from time import process_time
from typing import Literal, NamedTuple

from medconsist.metrics.image import image_quality
from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.bench.learned.scans import Measured, SliceKind, draw_scan, measured_in
from medconsist.mri.draw_seeds import Role
from medconsist.mri.learned.draws import MaskDraw
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.phantom.tissue import Contrast
from medconsist.mri.simulate import ScanConfig

__all__ = ["SETTINGS", "Adapted", "Image", "Scan", "adapted_scan"]

Image = Literal["given", "untested", "unblended"]

BASE = "as trained"
FASTER, MOVED = "acceleration 12 (1-D: 10.7), beyond training", "coil maps moved by 3 pixels"
NOISIER = "SNR 5, half the least of training"
UNSEEN = "inversion recovery, a contrast unseen in training"
SETTINGS = (BASE, FASTER, UNSEEN, NOISIER, MOVED)

# between the nulls of white and grey matter: both signs in one image
_INVERSION = Contrast("IR", tr_ms=4000.0, te_ms=30.0, ti_ms=450.0)
_MOVED_PIXELS = 3


class Scan(NamedTuple):
    """Which scan, in which setting.

    Examples
    --------
    >>> Scan(BASE, number=0, series=1).size
    128
    """

    setting: str
    number: int
    series: int
    size: int = 128
    role: Role = "test"
    weights: str = "cirim"
    settings: ZeroShot = ZeroShot.everyday()


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What adaptation did to one scan, beside the reference.

    Parameters
    ----------
    setting
        One of `SETTINGS`.
    accepted
        Whether the judging samples let it pass.
    plain, always, alone
        ``ssim``, ``psnr`` and ``nmse`` of the network as it is, of the step that the selecting
        samples chose, whatever the judging ones say, and of that step where its network makes the
        image wherever a coil sees, in dark regions too.
    core_seconds
        Of the adaptation.

    Examples
    --------
    >>> worse = {"nmse": 0.03}
    >>> one = Adapted(setting=BASE, accepted=False, plain={"nmse": 0.02}, always=worse, alone=worse,
    ...               core_seconds=9.0)
    >>> one.rise("given"), round(one.rise("untested"), 2)
    (0.0, 0.5)
    """

    setting: str
    accepted: bool
    plain: dict[str, float]
    always: dict[str, float]
    alone: dict[str, float]
    core_seconds: float

    def quality(self, image: Image) -> dict[str, float]:
        """Return that of the image which is given, or would be without the test or the blend."""
        if image == "untested":
            return self.always
        accepted = self.always if image == "given" else self.alone
        return accepted if self.accepted else self.plain

    def rise(self, image: Image) -> float:
        """Return the relative rise of the NMSE, 0 where nothing was changed; above 0 is worse."""
        return self.quality(image)["nmse"] / self.plain["nmse"] - 1

    def fell(self, image: Image) -> bool:
        """Return whether the SSIM fell."""
        return self.quality(image)["ssim"] < self.plain["ssim"]


class _OneContrast(SliceKind):
    """Slices of the inversion recovery, whatever their number."""

    def config(self, number: int) -> ScanConfig:
        return replace(super().config(number), contrast=_INVERSION)


def adapted_scan(scan: Scan) -> Adapted:
    """Simulate, reconstruct, adapt, reconstruct.

    One adaptation serves both columns: it keeps the chosen step whatever is judged, and what the
    acceptance test would have said is read from its judgement.
    """
    measured, model = _measured(scan), load_model(scan.weights)
    plain = LearnedMethod(model)(measured.measurement)
    start = process_time()
    untested = replace(scan.settings, level=None)
    method = ZeroShotMethod(model, untested, seed=scan.number).fixed(measured.measurement)
    spent = process_time() - start
    image, judged = method(measured.measurement), method.adaptation.judged
    alone = replace(method, signal_level=None)(measured.measurement)
    return Adapted(
        setting=scan.setting,
        accepted=judged is not None and judged.passes(scan.settings.level),
        plain=image_quality(plain.abs(), measured.reference),
        always=image_quality(image.abs(), measured.reference),
        alone=image_quality(alone.abs(), measured.reference),
        core_seconds=spent,
    )


def _measured(scan: Scan) -> Measured:
    kind = _OneContrast if scan.setting == UNSEEN else SliceKind
    slices = kind(size=scan.size, snr=5 if scan.setting == NOISIER else 30)
    acceleration = (12.0, 12.0) if scan.setting == FASTER else MaskDraw().acceleration
    cell = Cell(scan.setting, MaskDraw(acceleration=acceleration))
    drawn = draw_scan(scan.role, scan.number, series=scan.series, kind=slices)
    (measured,) = measured_in([cell], drawn)
    if scan.setting != MOVED:
        return measured
    maps = measured.measurement.maps.roll(_MOVED_PIXELS, dims=-1)
    return replace(measured, measurement=replace(measured.measurement, maps=maps))
