"""Convolutions with what follows them, in one pass over memory where the CPU's library can.

A pass over 64 channels of 256 x 256 costs a fifth of a 1 x 1 convolution. oneDNN adds another
array and takes the ReLU while a result is still in registers; torch offers that to its compiler
alone, as ``torch.ops.mkldnn``. Where they are missing or do not apply (another device or number
format), the same is computed in place by torch's ordinary functions. For inference alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["conv_add_relu", "conv_relu", "fuses"]


def fuses(x: Tensor) -> bool:
    """Whether convolutions of an array like this are fused with what follows."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.enabled:
        return False
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32


def conv_relu(conv: nn.Conv2d, x: Tensor, *, padding: int = 0) -> Tensor:
    """Return ``ReLU(conv(x))``, with zeros beyond the edge."""
    if fuses(x):
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, conv.weight, conv.bias, [padding] * 2, [1, 1], conv.dilation, 1, "relu", [], ""
        )
        return fused
    return _plain(conv, x, padding).relu_()


def conv_add_relu(conv: nn.Conv2d, x: Tensor, weight: Tensor, before: Tensor) -> Tensor:
    """Return ``ReLU(conv(x) + weight * before)``, for which ``before`` may be overwritten.

    ``weight`` has one entry a channel, ``1 channels 1 1``.
    """
    if not fuses(x):
        return _plain(conv, x, 0).addcmul_(weight, before).relu_()
    if x.dtype == torch.bfloat16:  # torch multiplies bfloat16 in place at a quarter of the speed
        before = functional.conv2d(before, weight.view(-1, 1, 1, 1), groups=len(weight[0]))
    else:
        before.mul_(weight)
    geometry = ([0, 0], [1, 1], [1, 1], 1)  # no padding, no stride, no dilation, one group
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        before, x, conv.weight, conv.bias, *geometry, "add", 1.0, "relu", (), ""
    )
    return fused


def _plain(conv: nn.Conv2d, x: Tensor, padding: int) -> Tensor:
    return functional.conv2d(x, conv.weight, conv.bias, padding=padding, dilation=conv.dilation)
