"""RIM, IRIM and CIRIM from the papers' equations alone: loops, gates and padding in the open.

Takes the names of ATOMMIC's state dict and one slice; everything in double precision. Nothing of
`medconsist` is imported, so that no fault can be shared.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Naive:
    """What the state dict does not tell."""

    cascades: int
    steps: int
    unit: Literal["indrnn", "gru", "mgu"] = "indrnn"
    explicit: bool = False
    carried: bool = True
    gradient_scale: Literal["unit", "inverse_variance", "clamped_sigma"] = "unit"


def random_state(
    naive: Naive, features: int, generator: torch.Generator, prefix: str = ""
) -> State:
    """Weights of the size at which every part is seen in the output, float32."""
    gates = {"indrnn": 1, "mgu": 2, "gru": 3}[naive.unit]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))

    state: State = {}
    for cascade in range(naive.cascades):
        block = f"{prefix}reconstruction_module.{cascade}."
        for layer, inputs, size in ((0, 4, 5), (1, features, 3)):
            head = f"{block}layers.{layer}."
            state[f"{head}convs.conv_layer.weight"] = normal(features, inputs, size, size)
            state[f"{head}convs.conv_layer.bias"] = normal(features, 100)[:, 0].clone()
            state[f"{head}rnn.ih.weight"] = normal(gates * features, features, 1, 1)
            state[f"{head}rnn.ih.bias"] = normal(gates * features, 100)[:, 0].clone()
            if naive.unit == "indrnn":
                state[f"{head}rnn.hh"] = normal(1, features, 1, 1)
            else:
                state[f"{head}rnn.hh.weight"] = normal(gates * features, features, 1, 1)
        state[f"{block}final_layer.0.conv_layer.weight"] = normal(2, features, 3, 3)
        if naive.explicit:
            state[f"{block}dc_weight"] = 0.5 + torch.rand(1, generator=generator)
    return state


def reconstruct(
    naive: Naive, state: State, samples: Tensor, mask: Tensor, maps: Tensor, sigma: float
) -> Tensor:
    """Return the images `cascades steps height width` of one slice with one map set.

    Samples and maps are `coils height width`, the mask `height width`.
    """
    wide = {name: value.double() for name, value in state.items()}
    samples, maps = samples.to(torch.complex128), maps.to(torch.complex128)
    x = adjoint(samples, mask, maps)
    hidden: list[Tensor | None] = [None, None]
    images = []
    for cascade in range(naive.cascades):
        weights = _of_block(wide, cascade)
        if not naive.carried:
            hidden = [None, None]
        of_steps = []
        for _ in range(naive.steps):
            g = gradient(x, samples, mask, maps) * _scale(naive, sigma)
            features = torch.stack([x.real, x.imag, g.real, g.imag])
            for layer, dilation in ((0, 1), (1, 2)):
                head = f"layers.{layer}."
                weight = weights[f"{head}convs.conv_layer.weight"]
                bias = weights[f"{head}convs.conv_layer.bias"]
                u = convolution(features, weight, dilation) + bias[:, None, None]
                features = UNITS[naive.unit](weights, f"{head}rnn.", relu(u), hidden[layer])
                hidden[layer] = features
            update = convolution(features, weights["final_layer.0.conv_layer.weight"], 1)
            x = x + torch.complex(update[0], update[1])
            of_steps.append(x)
        if naive.explicit:
            x = x - weights["dc_weight"] * gradient(x, samples, mask, maps)
            of_steps[-1] = x
        images.append(torch.stack(of_steps))
    return torch.stack(images)


def gradient(x: Tensor, samples: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
    """A^H (A x - y), coil by coil."""
    found = torch.zeros_like(x)
    for y_c, s_c in zip(samples, maps, strict=True):
        found = found + s_c.conj() * to_image(mask * (to_kspace(s_c * x) - y_c))
    return found


def adjoint(samples: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
    """A^H y, coil by coil."""
    found = torch.zeros_like(samples[0])
    for y_c, s_c in zip(samples, maps, strict=True):
        found = found + s_c.conj() * to_image(mask * y_c)
    return found


def to_kspace(image: Tensor) -> Tensor:
    """Centred and orthonormal, by matrices of the definition."""
    rows, columns = (dft_matrix(n) for n in image.shape)
    return rows @ image @ columns.T


def to_image(spectrum: Tensor) -> Tensor:
    rows, columns = (dft_matrix(n) for n in spectrum.shape)
    return rows.conj().T @ spectrum @ columns.conj()


def dft_matrix(n: int) -> Tensor:
    """exp(-2 pi i k r / n) / sqrt(n), with k and r counted from n // 2."""
    index = torch.arange(n, dtype=torch.float64) - n // 2
    return torch.polar(
        torch.full((n, n), n**-0.5, dtype=torch.float64),
        -2 * math.pi * index[:, None] * index / n,
    )


def convolution(features: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """out_o(p) = sum_i sum_d W_oi(d) f_i(p + dilation d), the edge repeated outside."""
    _, height, width = features.shape
    size = weight.shape[-1]
    out = features.new_zeros(weight.shape[0], height, width)
    for i in range(size):
        for j in range(size):
            down, right = dilation * (i - size // 2), dilation * (j - size // 2)
            rows = (torch.arange(height) + down).clamp(0, height - 1)
            columns = (torch.arange(width) + right).clamp(0, width - 1)
            shifted = features[:, rows][:, :, columns]
            out = out + torch.einsum("oi,ihw->ohw", weight[:, :, i, j], shifted)
    return out


def relu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def indrnn(weights: State, head: str, u: Tensor, h: Tensor | None) -> Tensor:
    before = torch.zeros_like(u) if h is None else h
    w_hh = weights[f"{head}hh"][0]
    return relu(_pointwise(weights, f"{head}ih", u) + w_hh * before)


def gru(weights: State, head: str, u: Tensor, h: Tensor | None) -> Tensor:
    before = torch.zeros_like(u) if h is None else h
    n = len(u)
    i, r = _pointwise(weights, f"{head}ih", u), _pointwise(weights, f"{head}hh", before)
    reset = sigmoid(i[:n] + r[:n])
    keep = sigmoid(i[n : 2 * n] + r[n : 2 * n])
    new = torch.tanh(i[2 * n :] + reset * r[2 * n :])
    return new * (1 - keep) + keep * before


def mgu(weights: State, head: str, u: Tensor, h: Tensor | None) -> Tensor:
    before = torch.zeros_like(u) if h is None else h
    n = len(u)
    i, r = _pointwise(weights, f"{head}ih", u), _pointwise(weights, f"{head}hh", before)
    forget = sigmoid(i[:n] + r[:n])
    candidate = torch.tanh(i[n:] + forget * r[n:])
    return candidate + forget * (before - candidate)


UNITS = {"indrnn": indrnn, "gru": gru, "mgu": mgu}


def _pointwise(weights: State, name: str, u: Tensor) -> Tensor:
    out = torch.einsum("oi,ihw->ohw", weights[f"{name}.weight"][:, :, 0, 0], u)
    bias = weights.get(f"{name}.bias")
    return out if bias is None else out + bias[:, None, None]


def _of_block(state: State, cascade: int) -> State:
    mark = f"reconstruction_module.{cascade}."
    return {name.split(mark)[1]: value for name, value in state.items() if mark in name}


def _scale(naive: Naive, sigma: float) -> float:
    match naive.gradient_scale:
        case "inverse_variance":
            return 1 / sigma**2
        case "clamped_sigma":
            return 1 / max(sigma, 1)
    return 1.0
