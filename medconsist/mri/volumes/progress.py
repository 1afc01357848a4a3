"""How far a pass over the slabs of a volume is."""

import logging
import time
from collections.abc import Iterator, Sequence

__all__ = ["told"]

_SECONDS = 2.0  # between two lines

logger = logging.getLogger(__name__)


def told(parts: Sequence[slice], what: str) -> Iterator[slice]:
    """Return the slices of each slab, and say every few seconds which one it is.

    Examples
    --------
    >>> list(told([slice(0, 8), slice(8, 16)], "coil maps"))
    [slice(0, 8, None), slice(8, 16, None)]
    """
    last = time.monotonic()
    for number, at in enumerate(parts, start=1):
        if time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            where = (number, len(parts), at.start, at.stop - 1)
            logger.info("%s: slab %d of %d, slices %d to %d", what, *where)
        yield at
