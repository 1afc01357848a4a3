"""Coil maps by a network, from the calibration region."""

import torch
from torch import Tensor, nn

from medconsist.errors import CalibrationError
from medconsist.mri.acs import find_acs
from medconsist.mri.comparators.norm_unet import NormUnet
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["SensitivityNet"]

_LEAST_ACS = 4  # samples; fewer are a point, not an image
_LEAST_POWER = 1e-24  # under a root, whose slope is infinite at 0


class SensitivityNet(nn.Module):
    """``S_c = U(F^H y_c) / (sum_c |U(F^H y_c)|^2)^(1/2)`` with y restricted to the ACS.

    Sriram et al. 2020, arXiv:2004.06688: one U-Net on the low-frequency image of each coil on its
    own, then unit norm over coils, outside the object too. The calibration region is that of
    `find_acs`, for each slice with its own mask.

    Parameters
    ----------
    features, pools
        See `NormUnet`; 8 and 4 in the paper's code.
    generator
        Draws the start values; None uses torch's global state.

    Raises
    ------
    CalibrationError
        A mask has no calibration region of 4 x 4 samples, as those of many prospective scans.

    Examples
    --------
    >>> y = torch.ones(1, 3, 16, 16, dtype=torch.complex64)
    >>> SensitivityNet(features=4, pools=2)(y, y[:, 0].real > 0).shape
    torch.Size([1, 1, 3, 16, 16])
    """

    def __init__(
        self, *, features: int, pools: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.unet = NormUnet(1, 1, features=features, pools=pools, generator=generator)

    def forward(self, samples: CoilKSpace, mask: SamplingMask) -> CoilMaps:
        """Return one map set."""
        low = torch.where(_calibration(mask)[:, None], samples, 0)
        images = Fourier().adjoint(low)
        found: Tensor = self.unet(images.flatten(0, 1)[:, None])
        maps = found.reshape(samples.shape)
        power = torch.view_as_real(maps).square().sum((1, -1))
        return (maps / power.clamp_min(_LEAST_POWER).sqrt()[:, None])[:, None]


def _calibration(mask: SamplingMask) -> SamplingMask:
    """Return True inside the calibration region of each mask."""
    kept = torch.zeros_like(mask)
    for index, one in enumerate(mask):
        try:
            region = find_acs(one[None], kernel=_LEAST_ACS)
        except CalibrationError as error:
            msg = (
                f"this network estimates coil maps itself and needs a fully sampled centre of "
                f"{_LEAST_ACS} x {_LEAST_ACS} samples, which the mask of slice {index} has not. "
                "Take weights of a network with given maps, or another method."
            )
            raise CalibrationError(msg) from error
        kept[index, region.rows, region.columns] = True
    return kept
