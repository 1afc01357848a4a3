"""Block letters for labels and orientation pictures; none of ``F G J L P R`` is its own mirror."""

import numpy as np
from jaxtyping import UInt8

from medconsist.errors import RefusedInputError

__all__ = ["draw_text"]

_ROWS = {
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01110 10001 10000 10111 10001 10001 01110",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "J": "00111 00010 00010 00010 00010 10010 01100",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00010 00100 01000 11111",
    "3": "11111 00010 00100 00010 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}


def draw_text(
    pixels: UInt8[np.ndarray, "rows columns 3"],
    text: str,
    *,
    at: tuple[int, int],
    scale: int,
    colour: tuple[int, int, int],
) -> None:
    """Write ``text`` into ``pixels``, letters 5 x 7 blocks of ``scale`` px; what sticks out is cut.

    Parameters
    ----------
    pixels
        Changed in place.
    text
        Digits and the letters ``F G I J L M P R S``.
    at
        Row and column of the top-left corner.
    scale
        Pixels per block.
    colour
        Red, green, blue.

    Raises
    ------
    RefusedInputError
        If a letter is not known.
    """
    unknown = sorted(set(text) - set(_ROWS))
    if unknown:
        msg = f"No block letters for {unknown}, allowed: {''.join(_ROWS)}."
        raise RefusedInputError(msg)
    top, left = at
    for position, letter in enumerate(text):
        rows = [[int(bit) for bit in row] for row in _ROWS[letter].split()]
        blocks = np.kron(np.array(rows), np.ones((scale, scale))).astype(bool)
        target = pixels[top : top + 7 * scale, left + position * 6 * scale :][:, : 5 * scale]
        target[blocks[: target.shape[0], : target.shape[1]]] = colour
