"""ESPIRiT: coil sensitivities from a fully sampled calibration region."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from medconsist.errors import CalibrationError, RefusedInputError
from medconsist.shapes import CoilKSpace, CoilMaps

__all__ = ["EspiritConfig", "EspiritMaps", "espirit"]

BART_ITERATIONS = 30
BLOCK_ELEMENTS = 2**21  # complex numbers of the pixel-wise matrices held at a time, 16 MiB


@dataclass(frozen=True)
class EspiritConfig:
    """Parameters of `espirit`; the defaults are those of ``bart ecalib -m1`` (version 0.8.00).

    Parameters
    ----------
    kernel
        Side of the square k-space kernel [samples], at least 2.
    threshold
        Singular vectors with ``(s / s_max)^2 > threshold`` span the signal space; in (0, 1).
    crop
        Maps are 0 where the eigenvalue is at most this; in [0, 1).
    sets
        Map sets per pixel, at most the number of coils. More than one describes pixels in which
        several signals meet, as with a field of view that is too small (soft SENSE).
    eigenvectors
        ``"exact"``: converged. ``"bart"``: 30 orthogonal iterations from the unit vectors of the
        first coils, as BART does it: not converged where those coils see little.

    Examples
    --------
    >>> EspiritConfig(sets=2).crop
    0.8
    """

    kernel: int = 6
    threshold: float = 0.001
    crop: float = 0.8
    sets: int = 1
    eigenvectors: Literal["exact", "bart"] = "exact"

    def __post_init__(self) -> None:
        allowed = {
            "kernel": (self.kernel >= 2, "an integer of at least 2; 6 is usual"),
            "threshold": (0 < self.threshold < 1, "between 0 and 1; 0.001 is usual"),
            "crop": (0 <= self.crop < 1, "in [0, 1); 0.8 is usual"),
            "sets": (self.sets >= 1, "an integer of at least 1"),
            "eigenvectors": (self.eigenvectors in ("exact", "bart"), "'exact' or 'bart'"),
        }
        for name, (fits, what) in allowed.items():
            if not fits:
                msg = f"ESPIRiT got {name}={getattr(self, name)!r}; allowed: {what}."
                raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class EspiritMaps:
    """Sensitivities and how well they explain the calibration data.

    Parameters
    ----------
    maps
        ``sum_c |S_c|^2 = 1`` per set where the eigenvalue is above the crop, else 0.
    eigenvalues
        In [0, 1] up to rounding, before cropping: 1 where one set of maps describes the pixel,
        0 where there is no signal. A second set with values near 1 marks folded-in signal.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, 2, 8, 8, dtype=torch.complex64)
    >>> EspiritMaps(one, torch.ones(1, 1, 8, 8)).maps.shape
    torch.Size([1, 1, 2, 8, 8])
    """

    maps: CoilMaps
    eigenvalues: Float[Tensor, "slices sets height width"]


_DEFAULT = EspiritConfig()


def espirit(
    calibration: CoilKSpace, shape: tuple[int, int], *, config: EspiritConfig = _DEFAULT
) -> EspiritMaps:
    """Estimate coil sensitivities as eigenvectors of the k-space kernels' image-domain form.

    Patches ``p`` of the calibration region lie in a space spanned by few kernels ``u_k``, the
    leading singular vectors of the matrix of patches. With
    ``f_k(c, r) = sum_d u_k(c, d) exp(2 pi i d r)`` over offsets d inside the kernel, the
    sensitivities at r are the eigenvectors with eigenvalue 1 of
    ``G(r) = sum_k f_k(r) f_k(r)^H / kernel^2``. Each slice on its own.

    Parameters
    ----------
    calibration
        Fully sampled centre of k-space, ``slices coils cal_height cal_width``, both sides at
        least as long as the kernel. That no sample is missing is not checked.
    shape
        Height and width of the maps [pixels].
    config
        See `EspiritConfig`.

    Returns
    -------
    EspiritMaps
        Maps ``slices sets coils height width`` and eigenvalues ``slices sets height width`` in
        the precision of the input. Phase, which the eigenvectors leave open: the inner product
        of each map with the principal coil component (of which the last coil is real and
        positive) is real and positive, at every pixel.

    Raises
    ------
    CalibrationError
        The region is smaller than the kernel, has no signal, or holds NaN or infinity.
    RefusedInputError
        More map sets than coils.

    References
    ----------
    Uecker et al. 2014, Magn Reson Med 71:990-1001, doi:10.1002/mrm.24751. Conventions checked
    against BART 0.8.00, doi:10.5281/zenodo.592960.
    """
    _check(calibration, config)
    pairs = [_one_slice(calibrated, shape, config) for calibrated in calibration]
    maps, eigenvalues = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return EspiritMaps(maps, eigenvalues)


def _check(calibration: Tensor, config: EspiritConfig) -> None:
    coils, *sides = calibration.shape[1:]
    if config.sets > coils:
        msg = f"asked for {config.sets} map sets of {coils} coils; allowed: 1 to {coils}."
        raise RefusedInputError(msg)
    if min(sides) < config.kernel:
        msg = (
            f"calibration region of {sides[0]} x {sides[1]} samples is smaller than the kernel of "
            f"{config.kernel} x {config.kernel}; allowed: at least as large, 24 x 24 is usual. "
            "Give maps of this scan (--maps), or combine the coils without maps "
            "(--method zerofilled --combine rss)."
        )
        raise CalibrationError(msg)
    energy = torch.linalg.vector_norm(calibration, dim=(-3, -2, -1))
    if not bool((energy.isfinite() & (energy > 0)).all()):
        msg = (
            "the calibration region of at least one slice is all zero or not finite; allowed: "
            "finite samples with signal. Leave out empty slices, and look for NaN in the input."
        )
        raise CalibrationError(msg)


def _one_slice(
    calibration: Complex[Tensor, "coils cal_height cal_width"],
    shape: tuple[int, int],
    config: EspiritConfig,
) -> tuple[Tensor, Tensor]:
    # Products of squares of the signal: in double, so that the threshold is decided by the data.
    samples = calibration.to(torch.complex128)
    lags = _kernel_correlation(_signal_kernels(samples, config), config.kernel)
    reference = _principal_component(samples).to(calibration.dtype)
    rows = max(1, BLOCK_ELEMENTS // (calibration.shape[0] ** 2 * shape[1]))
    maps, eigenvalues = [], []
    for block in torch.split(torch.arange(shape[0], device=calibration.device), rows):
        gram = _evaluate(lags, block, shape).to(calibration.dtype)
        solve = _leading_exact if config.eigenvectors == "exact" else _leading_bart
        values, vectors = solve(gram, config.sets)
        vectors = torch.where(values[:, None] > config.crop, vectors, 0)
        projection = torch.einsum("scyx,c->syx", vectors, reference.conj())[:, None]
        maps.append(vectors * torch.sgn(projection).conj())
        eigenvalues.append(values)
    return torch.cat(maps, dim=-2), torch.cat(eigenvalues, dim=-2)


def _signal_kernels(
    samples: Complex[Tensor, "coils cal_height cal_width"], config: EspiritConfig
) -> Complex[Tensor, "coils kernel kernel kernels"]:
    """Return the kernels that span the patches, by the Gram matrix of the patches."""
    side = config.kernel
    size = samples.shape[0] * side**2
    gram = samples.new_zeros(size, size)
    # Row by row of patches: the whole matrix of patches of a large region would fill the memory.
    for strip in samples.unfold(1, side, 1).unfold(2, side, 1).unbind(1):
        patches = strip.permute(0, 2, 3, 1).reshape(size, -1)
        gram += patches @ patches.mH
    power, vectors = torch.linalg.eigh(gram)
    signal = power > config.threshold * power[-1]
    return vectors[:, signal].reshape(samples.shape[0], side, side, -1)


def _kernel_correlation(kernels: Tensor, side: int) -> Tensor:
    """Return Fourier coefficients of ``G(r)``, ``coils coils lags lags``, lags from ``-side``."""
    grid = torch.fft.ifft2(kernels, s=(2 * side, 2 * side), dim=(1, 2), norm="forward")
    gram = torch.einsum("ayxk,byxk->abyx", grid, grid.conj()) / side**2
    return torch.fft.fftshift(torch.fft.fft2(gram, norm="forward"), dim=(-2, -1))


def _evaluate(lags: Tensor, rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return ``G`` at some rows, ``coils coils rows width``: band-limited, so exact."""
    offsets = torch.arange(lags.shape[-1], device=lags.device) - lags.shape[-1] // 2
    columns = torch.arange(shape[1], device=lags.device)
    vertical, horizontal = (
        torch.exp(2j * math.pi * ((index - size // 2) / size)[:, None] * offsets.double())
        for index, size in zip((rows.double(), columns.double()), shape, strict=True)
    )
    return torch.einsum("ablm,yl,xm->abyx", lags, vertical, horizontal)


def _principal_component(samples: Tensor) -> Tensor:
    """Return the combination of coils with most signal, its last coil real and positive."""
    flat = samples.flatten(1)
    component = torch.linalg.eigh(flat @ flat.mH).eigenvectors[:, -1]
    return component * torch.sgn(component[-1]).conj()


def _leading_exact(gram: Tensor, sets: int) -> tuple[Tensor, Tensor]:
    """Return eigenvalues ``sets rows width`` and eigenvectors ``sets coils rows width``."""
    values, vectors = torch.linalg.eigh(gram.permute(2, 3, 0, 1))
    leading = vectors[..., -sets:].flip(-1).permute(3, 2, 0, 1)
    return values[..., -sets:].flip(-1).permute(2, 0, 1), leading


def _leading_bart(gram: Tensor, sets: int) -> tuple[Tensor, Tensor]:
    """Return what 30 orthogonal iterations reach; the leading set starts at coil ``sets - 1``."""
    vectors = torch.eye(sets, gram.shape[0], dtype=gram.dtype, device=gram.device).flip(0)
    vectors = vectors[..., None, None].expand(-1, -1, *gram.shape[2:])
    for _ in range(BART_ITERATIONS):
        values, vectors = _orthonormalise([(gram * v).sum(1) for v in vectors])
    return values, vectors


def _orthonormalise(vectors: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return lengths and directions by Gram-Schmidt, the first vector leading."""
    lengths: list[Tensor] = []
    directions: list[Tensor] = []
    for vector in vectors:
        for earlier in directions:
            vector = vector - (earlier.conj() * vector).sum(0) * earlier
        length = torch.linalg.vector_norm(vector, dim=0)
        lengths.append(length)
        # Where the start lies outside the signal there is no direction: 0, and cropped later.
        directions.append(vector / length.clamp_min(torch.finfo(length.dtype).tiny))
    return torch.stack(lengths), torch.stack(directions)
