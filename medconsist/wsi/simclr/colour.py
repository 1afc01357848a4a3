"""What stain, scanner and lamp may do to a tile, one draw for each; every step is per pixel."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.wsi.stain_vectors import HED

__all__ = ["colour_jitter", "greyscale", "stain_jitter"]

_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
_YIQ = (_GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
# 256 levels, moved by one so that black has a finite density, as in Ruifrok's plugin
_LEVELS = 255.0


def stain_jitter(
    images: Float[Tensor, "tiles 3 height width"],
    gain: Float[Tensor, "tiles 3"],
    shift: Float[Tensor, "tiles 3"],
) -> Float[Tensor, "tiles 3 height width"]:
    r"""Multiply and shift the amount of each stain, in optical density.

    With :math:`o = -\ln\frac{255 x + 1}{256}` and the unit rows of ``HED`` in :math:`M`, the
    amounts :math:`c = M^{-T} o` become :math:`g c + s`, and back. It moves colours along the axes
    on which staining protocols differ (Tellez et al. 2019, arXiv:1902.06543; Ruifrok and Johnston
    2001, Anal Quant Cytol Histol 23:291). The third axis is DAB, in an H&E slide what haematoxylin
    and eosin leave over. The stain vectors are those of the paper, not of the slide.

    Parameters
    ----------
    images
        In [0, 1].
    gain, shift
        For haematoxylin, eosin and DAB; 1 and 0 change nothing. A shift also tints the bare glass.

    Returns
    -------
    Tensor
        In [0, 1], clipped where a stain exceeds what a pixel can show.
    """
    stains = torch.tensor(HED, dtype=torch.float64)
    stains = stains / stains.norm(dim=1, keepdim=True)
    mix, unmix = (m.to(images) for m in (stains.T, torch.linalg.inv(stains.T)))
    density = math.log(_LEVELS + 1) - torch.log1p(_LEVELS * images)
    density = _mix(density, (mix * gain[:, None]) @ unmix) + (shift @ mix.T)[:, :, None, None]
    return (((_LEVELS + 1) * (-density).exp() - 1) / _LEVELS).clamp(0, 1)


def colour_jitter(
    images: Float[Tensor, "tiles 3 height width"], change: Float[Tensor, "tiles 4"]
) -> Float[Tensor, "tiles 3 height width"]:
    """Change brightness, contrast, saturation and hue of each image, in this order.

    Brightness multiplies; contrast moves away from the mean grey of the image, saturation from the
    grey of each pixel; hue turns about the grey axis of YIQ, which keeps the grey. torchvision
    draws the order and turns in HSV.

    Parameters
    ----------
    images
        In [0, 1].
    change
        Factors of brightness, contrast and saturation, 1 for none, and hue in turns, 0 for none.

    Returns
    -------
    Tensor
        Clipped to [0, 1] once, at the end.
    """
    brightness, contrast, saturation, turns = (x[:, None, None] for x in change.unbind(-1))
    grey = images.new_tensor(_GREY)
    bright = images * brightness[..., None]
    mean = torch.einsum("c,nchw->nhw", grey, bright).mean((1, 2))
    to_grey = grey.expand(3, 3)
    saturate = torch.eye(3).to(images) * saturation + to_grey * (1 - saturation)
    offset = (mean[:, None, None] * (1 - contrast))[..., None]
    return (_mix(bright * contrast[..., None] + offset, _hue(turns) @ saturate)).clamp(0, 1)


def greyscale(
    images: Float[Tensor, "tiles 3 height width"], chosen: Bool[Tensor, " tiles"]
) -> Float[Tensor, "tiles 3 height width"]:
    """Replace the chosen images by their luma (BT.601), still in three channels."""
    grey = torch.einsum("c,nchw->nhw", images.new_tensor(_GREY), images)[:, None]
    return torch.where(chosen[:, None, None, None], grey, images)


def _mix(images: Tensor, matrix: Tensor) -> Tensor:
    """Return ``out_c = sum_d matrix_cd images_d`` with one matrix for each image."""
    return (matrix @ images.flatten(2)).reshape(images.shape)


def _hue(turns: Tensor) -> Tensor:
    """Return the rotation of the colour plane of YIQ, as one matrix on RGB for each image."""
    yiq = torch.tensor(_YIQ, dtype=torch.float64)
    to, back = (m.to(turns) for m in (yiq, torch.linalg.inv(yiq)))
    angle = 2 * math.pi * turns
    grey, cos, sin = torch.zeros(3, 3).to(turns), angle.cos(), angle.sin()
    grey[0, 0] = 1
    plane = torch.diag(torch.tensor([0.0, 1.0, 1.0])).to(turns)
    swap = torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]]).to(turns)
    return back @ (grey + cos * plane + sin * swap) @ to
