"""A volume with two phase encodings splits into independent planes along its readout."""

from collections.abc import Iterator

from jaxtyping import Complex
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.centring import measured_centring
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace

__all__ = ["planes_along_readout", "row_blocks"]

_BLOCK_BYTES = 2**21  # the transform holds about five of them at once


def planes_along_readout(
    spectrum: Complex[Tensor, "read coils height width"], *, name: str
) -> tuple[CoilKSpace, tuple[str, ...]]:
    """Return the inverse centred transform along the readout: slices are readout positions.

    The spectrum is overwritten and returned, block by block of rows: beside it there are never
    more than a few blocks of 2 MiB. Which samples of a plane were acquired does not matter here:
    partial Fourier and elliptical shutters along the two phase encodings stay zeros.

    Raises
    ------
    RefusedInputError
        If the readout is not fully sampled: some acquired line is not complete along it.
    """
    for block in row_blocks(spectrum):
        acquired = (block != 0).any(1)
        if (acquired != acquired.any(0)).any():
            msg = (
                f"{name} is a volume whose readout is not fully sampled; allowed: every acquired "
                "line complete along the first axis, so that it splits into planes."
            )
            raise RefusedInputError(msg)
    centring = measured_centring(lambda: row_blocks(spectrum), axis=0, name="readout")
    fourier = Fourier(dims=(0,))
    for block in row_blocks(spectrum):
        block.copy_(fourier.adjoint(centring.apply(block, axis=0)))
    return spectrum, centring.notes


def row_blocks(
    spectrum: Complex[Tensor, "read coils height width"],
) -> Iterator[Complex[Tensor, "read coils some width"]]:
    """Yield views of as many rows as make a block of 2 MiB, one at least."""
    row_bytes = spectrum[:, :, :1].numel() * spectrum.element_size()
    rows = max(1, _BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, spectrum.shape[2], rows):
        yield spectrum[:, :, start : start + rows]
