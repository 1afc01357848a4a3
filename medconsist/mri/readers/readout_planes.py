"""A volume with two phase encodings splits into independent planes along its readout."""

from jaxtyping import Complex
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.centring import centre_axis
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace

__all__ = ["planes_along_readout"]


def planes_along_readout(
    spectrum: Complex[Tensor, "read coils height width"], *, name: str
) -> tuple[CoilKSpace, tuple[str, ...]]:
    """Return the inverse centred transform along the readout: slices are readout positions.

    Raises
    ------
    RefusedInputError
        If the readout is not fully sampled: some acquired line is not complete along it.
    """
    acquired = (spectrum != 0).any(1)
    if (acquired != acquired.any(0)).any():
        msg = (
            f"{name} is a volume whose readout is not fully sampled; allowed: every acquired line "
            "complete along the first axis, so that it splits into planes."
        )
        raise RefusedInputError(msg)
    centred, said = centre_axis(spectrum, axis=0, name="readout")
    return Fourier(dims=(0,)).adjoint(centred).contiguous(), said
