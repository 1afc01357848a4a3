"""What decides the features of a slide, apart from the slide and the encoder."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medconsist.errors import RefusedInputError
from medconsist.tiling.grid import Edge
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.open import Engine

__all__ = ["FINEST_UPSAMPLING", "KIND", "Embedding"]

KIND = "wsi.features"
FINEST_UPSAMPLING = 0.95  # target over slide mpp: a 0.5 grid on a slide of 0.5045 is no upsampling

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
        Kinds of flagged regions whose tiles are left out (``"pen"``, ``"fold"``, ``"blur"``).
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
        A number is out of range.
    NoMppError
        ``target_mpp`` is not plausible.

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
        Mpp(self.target_mpp, self.target_mpp, "target")
        if not 0 < self.min_tissue <= 1:
            msg = f"min_tissue must lie above 0 and at most at 1, got {self.min_tissue}."
            raise RefusedInputError(msg)

    def refuse_upsampling(self, mpp: Mpp) -> None:
        """Refuse tiles that would be finer than the slide, unless that is asked for.

        Raises
        ------
        RefusedInputError
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
        raise RefusedInputError(msg)

    def as_config(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return {"task": KIND, **asdict(self)}
