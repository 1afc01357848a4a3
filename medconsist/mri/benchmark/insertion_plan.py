"""Which lesions are inserted, how far apart, and what an observer sees of them."""

from dataclasses import dataclass

from medconsist.errors import RefusedInputError

__all__ = ["InsertionPlan", "LesionKind"]


@dataclass(frozen=True)
class LesionKind:
    """A Gaussian lesion, brighter than the anatomy and in its phase.

    Parameters
    ----------
    contrast
        Peak, relative to the median intensity of the object.
    fwhm_px
        Width [pixels].

    Examples
    --------
    >>> LesionKind(0.05, 2.5).words
    '5 % lesion, FWHM 2.5 px'
    """

    contrast: float
    fwhm_px: float

    @property
    def words(self) -> str:
        """As rows say it."""
        return f"{100 * self.contrast:g} % lesion, FWHM {self.fwhm_px:g} px"


@dataclass(frozen=True, kw_only=True)
class InsertionPlan:
    """Which lesions, how far apart, and how the observer sees them.

    Parameters
    ----------
    kinds
        Each is reconstructed by itself.
    spacing_px
        Least distance of two sites; a patch of the observer is one less.
    margin_px
        Least distance of a site from the edge of the object.
    channels, first
        Number and lowest frequency [cycles per pixel] of the observer's dense differences of
        Gaussians: the published ten from 0.005 need larger patches. Seven from 0.025 are highest at
        0.045 to 0.34 cycles per pixel.

    Raises
    ------
    RefusedInputError
        Lesions that would overlap, or an odd spacing.

    Examples
    --------
    >>> InsertionPlan().side
    15
    """

    kinds: tuple[LesionKind, ...] = (
        LesionKind(0.05, 2.5),
        LesionKind(0.10, 2.5),
        LesionKind(0.05, 4.0),
        LesionKind(0.10, 4.0),
    )
    spacing_px: int = 16
    margin_px: int = 8
    channels: int = 7
    first: float = 0.025

    def __post_init__(self) -> None:
        widest = max(kind.fwhm_px for kind in self.kinds)
        if self.spacing_px % 2 or self.spacing_px < 3 * widest or self.margin_px < 1:
            msg = (
                f"got a spacing of {self.spacing_px} pixels and a margin of {self.margin_px} for "
                f"lesions of up to {widest:g} pixels; allowed: an even spacing of at least 3 "
                "widths, where a Gaussian has fallen to nothing, and a positive margin."
            )
            raise RefusedInputError(msg)

    @property
    def side(self) -> int:
        """Rows and columns of a patch."""
        return self.spacing_px - 1
