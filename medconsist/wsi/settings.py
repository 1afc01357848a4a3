"""What decides the features of a slide, apart from the slide and the encoder."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.tiling.grid import Edge
from medconsist.wsi.mpp import PLAUSIBLE_MPP, Mpp
from medconsist.wsi.readers.open import Engine
from medconsist.wsi.tissue.quality import FLAGS
from medconsist.wsi.tissue.stain import STAIN_KINDS

__all__ = ["FINEST_UPSAMPLING", "KIND", "Embedding"]

KIND = "wsi.features"
FINEST_UPSAMPLING = 0.95  # target over slide mpp: a 0.5 grid on a slide of 0.5045 is no upsampling

_STAINS = tuple(kind for kind in STAIN_KINDS if kind != "unknown")

Unmade = Literal["refuse", "flag"]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """How a slide is cut into tiles, and which of them are looked at.

    Parameters
    ----------
    target_mpp
        Microns per pixel of the tiles [um/px]; the exact scale follows from the slide.
    overlap_px
        Shared by neighbouring tiles [px].
    edge
        See `medconsist.tiling.grid.Grid`.
    min_tissue
        Least share of tissue of a tile that is kept, above 0 to 1.
    leave_out
        Kinds of flagged regions whose tiles are left out, of
        `medconsist.wsi.tissue.quality.FLAGS`.
    stains
        Kinds of stain that the encoder was made for; None takes any.
    other_stain
        What happens to a slide of another stain: ``"refuse"`` it or ``"flag"`` it in the notes.
    engine
        See `medconsist.wsi.readers.open.open_slide`.
    upsampling
        Whether tiles may be finer than the slide.

    Raises
    ------
    RefusedInputError
        A number is out of range, or a word is unknown.

    Examples
    --------
    >>> Embedding(target_mpp=0.5).as_config()["target_mpp"]
    0.5
    """

    target_mpp: float = 0.5
    overlap_px: int = 0
    edge: Edge = "drop"
    min_tissue: float = 0.25
    leave_out: tuple[str, ...] = field(default=("pen",))
    stains: tuple[str, ...] | None = ("he",)
    other_stain: Unmade = "flag"
    engine: Engine = "auto"
    upsampling: bool = False

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE_MPP
        if not low <= self.target_mpp <= high:
            msg = (
                f"tiles of {self.target_mpp:g} um/px cannot be read; --tile-mpp takes {low} to "
                f"{high}."
            )
            raise RefusedInputError(msg)
        if not 0 < self.min_tissue <= 1:
            msg = f"min_tissue must lie above 0 and at most at 1, got {self.min_tissue}."
            raise RefusedInputError(msg)
        if self.overlap_px < 0:
            msg = f"overlap_px must be 0 or more, got {self.overlap_px}."
            raise RefusedInputError(msg)
        _require_known("leave_out", self.leave_out, allowed=FLAGS)
        if self.stains is not None:
            _require_known("stains", self.stains or ("",), allowed=_STAINS)

    def refuse_upsampling(self, mpp: Mpp) -> None:
        """Refuse tiles that would be finer than the slide, unless that is asked for.

        Raises
        ------
        UnsupportedInputError
            Names both resolutions.
        """
        coarsest = max(mpp.x, mpp.y)
        if self.upsampling or self.target_mpp >= FINEST_UPSAMPLING * coarsest:
            return
        msg = (
            f"tiles of {self.target_mpp:g} um/px would be finer than the slide ({coarsest:g} "
            f"um/px, {mpp.source}): pixels would be invented. Use --tile-mpp {coarsest:g} or "
            "coarser, or say --upsampling."
        )
        raise UnsupportedInputError(msg)

    def as_config(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return {"task": KIND, **asdict(self)}


def _require_known(what: str, words: tuple[str, ...], *, allowed: tuple[str, ...]) -> None:
    """Refuse a word that nothing would be compared with: it would change nothing, silently."""
    for word in words:
        if word not in allowed:
            msg = f"{what} got {word!r}. {nearest(word, allowed)}"
            raise RefusedInputError(msg)
