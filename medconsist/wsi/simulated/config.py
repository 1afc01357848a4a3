"""What a simulated slide is: size, file layout, stain, tumour and planted faults."""

from dataclasses import dataclass
from typing import Literal

from medconsist.errors import RefusedInputError

__all__ = ["FAULTS", "SCANNERS", "STAINS", "SlideConfig"]

FAULTS = ("pen-blue", "pen-green", "pen-black", "fold", "blur", "blank")
SCANNERS = ("a", "b", "c")
STAINS = ("he", "ihc", "fluorescence")
_RENDERED_MPP = 0.5
_RENDERED_LIMITS = (0.1, 2.0)
_TUMOUR_SHARE = 0.3
_LAST_LEVEL = 1024
_MAGNIFICATIONS = (5, 10, 20, 40, 80)


@dataclass(frozen=True, kw_only=True)
class SlideConfig:
    """Everything that decides the bytes of a simulated slide.

    Parameters
    ----------
    width, height
        Size of level 0 [px], 64 or more.
    tile
        Side of a stored tile [px], a multiple of 16.
    mpp
        Microns per pixel that the file states; a pair is ``(x, y)`` and needs ``layout="tiff"``,
        None writes none. Nuclei are drawn to scale
        between 0.1 and 2, at the nearer limit outside, and at 0.5 where the file states none.
    layout
        ``"svs"``: as Aperio writes it; ``"tiff"``: generic tiled pyramid.
    photometric
        ``"rgb"`` stores RGB components without an Adobe marker, as Aperio does: the colour trap.
    subsampling
        Chroma sampling of the streams; None means 420 for ycbcr and 444 for rgb.
    quality
        JPEG quality 1 to 100.
    level_step, levels
        Downsampling from level to level (2 or 4), and how many levels; None goes on until the
        longer side is at most 1024.
    shared_tables
        Abbreviated streams with one JPEGTables tag a level, or whole streams.
    adobe_marker
        Keep the APP14 marker in rgb streams.
    big_tiff
        None decides by size.
    stain
        ``"he"``, ``"ihc"`` (haematoxylin and DAB) or ``"fluorescence"``.
    scanner
        Colour profile, ``"a"``, ``"b"`` or ``"c"``.
    tissue
        Share of the picture that is tissue.
    tumour
        Share of the tissue that is tumour; True means 0.3.
    faults
        Any of ``pen-blue pen-green pen-black fold blur blank``, each at most once.
    magnification
        What an svs states as AppMag; None takes the nearest nominal one, none without ``mpp``.
    downsample
        Level-0 pixels per cell of the truth masks.
    seed
        Same config, same bytes.

    Raises
    ------
    RefusedInputError
        If a value is outside its range or two of them contradict each other.

    Examples
    --------
    >>> config = SlideConfig(width=2048, height=1024, mpp=0.2498, level_step=2)
    >>> config.level_sizes
    ((2048, 1024), (1024, 512))
    >>> config.sampling
    '420'
    """

    width: int = 4096
    height: int = 3072
    tile: int = 256
    mpp: float | int | tuple[float | int, float | int] | None = 0.5
    layout: Literal["svs", "tiff"] = "svs"
    photometric: Literal["ycbcr", "rgb"] = "ycbcr"
    subsampling: Literal["420", "422", "444"] | None = None
    quality: int = 80
    level_step: int = 4
    levels: int | None = None
    shared_tables: bool = True
    adobe_marker: bool = False
    big_tiff: bool | None = None
    stain: Literal["he", "ihc", "fluorescence"] = "he"
    scanner: str = "a"
    tissue: float | int = 0.55
    tumour: float | int | bool = 0.0
    faults: tuple[str, ...] = ()
    magnification: int | None = None
    downsample: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for allowed, sentence in self._rules():
            if not allowed:
                msg = f"SlideConfig: {sentence}."
                raise RefusedInputError(msg)

    def _rules(self) -> tuple[tuple[bool, str], ...]:
        unknown = [name for name in self.faults if name not in FAULTS]
        mpps = () if self.mpp is None else self.mpp_xy
        return (
            (
                min(self.width, self.height) >= 64,
                f"got {self.width} x {self.height} px, allowed: 64 or more on each side",
            ),
            (
                self.tile >= 16 and self.tile % 16 == 0,
                f"got tile={self.tile}, allowed: multiples of 16 (TIFF 6.0), e.g. 256",
            ),
            (all(value > 0 for value in mpps or ()), f"got mpp={self.mpp}, allowed: above 0"),
            (
                self.layout == "tiff" or not isinstance(self.mpp, tuple),
                f"got mpp={self.mpp}, but an svs states one MPP; use layout='tiff' for a pair",
            ),
            (
                self.photometric == "ycbcr" or self.subsampling in (None, "444"),
                f"rgb components are not subsampled, got {self.subsampling!r}, allowed: '444'",
            ),
            (1 <= self.quality <= 100, f"got quality={self.quality}, allowed: 1 to 100"),
            (self.level_step in (2, 4), f"got level_step={self.level_step}, allowed: 2 or 4"),
            (self.levels is None or self.levels >= 1, f"got levels={self.levels}, allowed: >= 1"),
            (self.scanner in SCANNERS, f"got scanner={self.scanner!r}, allowed: {SCANNERS}"),
            (0 <= self.tissue <= 1, f"got tissue={self.tissue}, allowed: 0 to 1"),
            (0 <= self.tumour <= 1, f"got tumour={self.tumour}, allowed: 0 to 1"),
            (not unknown, f"got the faults {unknown}, allowed: {FAULTS}"),
            (
                len(set(self.faults)) == len(self.faults),
                f"got faults={self.faults}, allowed: each fault once",
            ),
            (self.seed >= 0, f"got seed={self.seed}, allowed: 0 or more"),
            (self.downsample >= 1, f"got downsample={self.downsample}, allowed: 1 or more"),
        )

    @property
    def mpp_xy(self) -> tuple[float, float] | None:
        """Microns per pixel along x and y as the file states them."""
        if self.mpp is None:
            return None
        pair = self.mpp if isinstance(self.mpp, tuple) else (self.mpp, self.mpp)
        return float(pair[0]), float(pair[1])

    @property
    def rendered_mpp(self) -> float:
        """Microns per pixel at which the texture is drawn: the mean of x and y, within limits."""
        if self.mpp_xy is None:
            return _RENDERED_MPP
        low, high = _RENDERED_LIMITS
        return min(max(sum(self.mpp_xy) / 2, low), high)

    @property
    def sampling(self) -> str:
        """Chroma sampling of the streams."""
        return self.subsampling or ("444" if self.photometric == "rgb" else "420")

    @property
    def tumour_share(self) -> float:
        """Share of the tissue that is tumour."""
        return _TUMOUR_SHARE if self.tumour is True else float(self.tumour)

    @property
    def nominal_magnification(self) -> int | None:
        """What an svs states as AppMag."""
        if self.magnification is not None or self.mpp_xy is None:
            return self.magnification
        mean_mpp = sum(self.mpp_xy) / 2
        wanted = 10.0 / mean_mpp
        return min(_MAGNIFICATIONS, key=lambda power: max(power / wanted, wanted / power))

    @property
    def level_sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of every level; a level rounds down, as Aperio does."""
        return level_sizes(self.width, self.height, step=self.level_step, levels=self.levels)


def level_sizes(
    width: int, height: int, *, step: int, levels: int | None
) -> tuple[tuple[int, int], ...]:
    """List width and height of the levels of a pyramid that starts at ``width x height``."""
    sizes = [(width, height)]
    while levels is None or len(sizes) < levels:
        width, height = width // step, height // step
        enough = levels is None and max(sizes[-1]) <= _LAST_LEVEL
        if enough or min(width, height) < 1:
            break
        sizes.append((width, height))
    return tuple(sizes)
