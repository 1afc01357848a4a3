"""The classical reconstructions: zero-filled, CG-SENSE, and compressed sensing.

Each is a frozen set of parameters that is called with a `Measurement`. A stack of slices gives
the same as each slice on its own, provided that the scale is given: an estimated scale is one for
the volume. Images are in the units of the samples.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.bart_scaling import bart_scale
from medconsist.mri.forward import Measurement
from medconsist.mri.normal_operator import SenseNormal
from medconsist.mri.volumes.volume import Measured
from medconsist.mri.wavelet_prox import ShiftedWaveletProx
from medconsist.operators.base import Identity, LinearOperator
from medconsist.operators.differences import FiniteDifference
from medconsist.operators.solvers import AdmmConfig, admm, conjugate_gradient, fista
from medconsist.results.schema import ModelRecord
from medconsist.shapes import Array, CoilMaps, ComplexImages

__all__ = ["CgSense", "CompressedSensing", "Method", "Zerofilled", "combine_sets"]
__all__ += ["method_named", "refuse_weight_of"]

SetImages = Complex[Tensor, "slices sets height width"]
PerSlice = Float[Tensor, "slices 1 1 1"]

STEP = 0.95  # of 1/||A||^2, as BART: room for rounding in the norm of the maps
TV_PENALTY = 0.1  # ADMM's rho; 60 iterations end within 0.6 % of 800 (phantom and head, R 8-10)
TV_INNER_ITERATIONS = 3


def combine_sets(images: SetImages) -> ComplexImages:
    """Return ``(sum_s |x_s|^2)^(1/2)`` with the phase of the first set, and 0 where that is 0/0.

    With one map set this is the image itself. The sets of ESPIRiT are orthonormal at each pixel, so
    that it is the root sum of squares of the coil images that they describe: where the object is
    wider than the field of view, what folds over lies in it still, without the error that one set
    makes there. Maps that are given, one set for each part of the object, give its parts apart.
    """
    if images.shape[1] == 1:
        return images[:, 0]
    first = torch.sgn(images[:, 0])
    phase = torch.where(first == 0, torch.ones_like(first), first)
    return torch.linalg.vector_norm(images, dim=1) * phase


@dataclass(frozen=True)
class Method(ABC):
    """A reconstruction: called with a `Measurement`, it returns one complex image per slice."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables and files call it."""

    @property
    def learned(self) -> bool:
        """Whether a network makes the image; it is then judged against compressed sensing."""
        return False

    @property
    def weights(self) -> ModelRecord | None:
        """The weights that the network starts from; None without a file of weights."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the image must know, as sentences; of a `fixed` method."""
        return ()

    @abstractmethod
    def solve(self, measurement: Measurement) -> SetImages:
        """Return one image per slice and map set: what the forward operator takes."""

    def fixed(self, measurement: Measured) -> "Method":
        """Return the method with every number that it would estimate from the samples set.

        What compares several calls (withheld samples, probes, inserted lesions) needs it, and so
        does a volume that comes slab by slab: its slabs must be of one scale.
        """
        del measurement  # most methods estimate nothing
        return self

    def rescaled(self, factor: float) -> "Method":
        """Return the method for samples multiplied by ``factor``: other units."""
        del factor  # most methods have no number in units of the samples
        return self

    def as_config(self) -> dict[str, Any]:
        """Return what decides the image, as plain JSON values."""
        return {"name": self.name, **asdict(self)}

    def __call__(self, measurement: Measurement) -> ComplexImages:
        """Return one image per slice, by `combine_sets`."""
        return combine_sets(self.solve(measurement))


@dataclass(frozen=True)
class Zerofilled(Method):
    """``A^H y``: the coil images of the samples as they are, combined by the maps.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> Zerofilled()(Measurement(ones, ones[0].real > 0, ones[:, None], sigma=1.0)).abs().max()
    tensor(8.)
    """

    name = "zerofilled"

    def solve(self, measurement: Measurement) -> SetImages:
        """Return ``A^H y`` of each map set."""
        return measurement.operator.H(measurement.samples)


@dataclass(frozen=True)
class CgSense(Method):
    """Least squares with Tikhonov regularisation: ``(A^H A + lambda) x = A^H y`` by CG from 0.

    Pruessmann et al. 2001, doi:10.1002/mrm.1241; the same as ``bart pics -l2 -r lambda -i n``.
    The scale of the data plays no part, that of the maps does.

    Parameters
    ----------
    lambda_
        Regularisation weight, at least 0, beside maps of unit norm.
    iterations
        CG iterations; with ``lambda_ = 0`` they are the only regularisation.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> CgSense(lambda_=1.0)(Measurement(ones, ones[0].real > 0, ones[:, None], 1.0)).abs().max()
    tensor(4.)
    """

    name = "cgsense"
    lambda_: float = 0.005
    iterations: int = 30

    def __post_init__(self) -> None:
        _check_weights(self.lambda_, self.iterations)

    def solve(self, measurement: Measurement) -> SetImages:
        """Return the regularised least-squares image of each map set."""
        return conjugate_gradient(
            SenseNormal(measurement.mask, measurement.maps) + self.lambda_ * Identity(),
            measurement.operator.H(measurement.samples),
            iterations=self.iterations,
            batch_dims=1,
        )


@dataclass(frozen=True)
class CompressedSensing(Method):
    """Sparse reconstruction: ``min_x 1/2 ||A x - y||^2 + lambda R(x)`` for y of unit scale.

    ``"wavelet"``: R is the 1-norm of the db2 wavelet coefficients, by FISTA with step
    ``0.95 / ||A||^2`` and a shift of the grid in each iteration (Lustig et al. 2007,
    doi:10.1002/mrm.21391; Beck & Teboulle 2009, doi:10.1137/080716542): the same problem as
    ``bart pics -S -R W:3:0:lambda -i n``, so that its weights carry over. BART draws its shifts
    at random, which moves the error by 3 % from seed to seed; ours run through all parities in a
    fixed order (`ShiftedWaveletProx`), without random numbers.

    ``"tv"``: R is the isotropic total variation ``sum_r (|D_1 x|^2 + |D_2 x|^2)^(1/2)`` of the
    complex image (Rudin et al. 1992, doi:10.1016/0167-2789(92)90242-F), by ADMM with 3 CG steps
    in each iteration.

    Each map set is penalised on its own.

    Parameters
    ----------
    lambda_
        Weight, at least 0, for data divided by the scale.
    regulariser
        ``"wavelet"`` or ``"tv"``.
    iterations
        Of FISTA or ADMM.
    scale
        What the samples are divided by, and the image multiplied by again, in the units of the
        samples that the method is given (in a job those of the file, see `rescaled`); None
        estimates one for the volume by `bart_scale`.

    Raises
    ------
    RefusedInputError
        A parameter out of its range, or samples whose scale cannot be estimated.
    ConvergenceError
        An iterate is not finite.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 32, 32, dtype=torch.complex64)
    >>> point = Measurement(ones, ones[0].real > 0, ones[:, None], sigma=1.0)
    >>> CompressedSensing(lambda_=0.0, scale=1.0)(point).abs().max().round()
    tensor(32.)
    """

    name = "cs"
    lambda_: float = 0.005
    regulariser: Literal["wavelet", "tv"] = "wavelet"
    iterations: int = 60
    scale: float | None = None

    def __post_init__(self) -> None:
        _check_weights(self.lambda_, self.iterations)
        if self.regulariser not in ("wavelet", "tv"):
            msg = f"regulariser got {self.regulariser!r}; allowed: 'wavelet' or 'tv'."
            raise RefusedInputError(msg)
        if self.scale is not None and not 0 < self.scale < float("inf"):
            msg = f"scale got {self.scale}; allowed: positive and finite, or None to estimate it."
            raise RefusedInputError(msg)

    def fixed(self, measurement: Measured) -> "CompressedSensing":
        """Return the method with the scale of this measurement."""
        return replace(self, scale=self._scale_of(measurement))

    def rescaled(self, factor: float) -> "CompressedSensing":
        """Return the method for samples multiplied by ``factor``; an estimated scale follows."""
        return self if self.scale is None else replace(self, scale=self.scale * factor)

    def solve(self, measurement: Measurement) -> SetImages:
        """Return the sparse image of each map set."""
        scale = self._scale_of(measurement)
        gain = _operator_norm(measurement.maps)
        # With u = ||A|| x the operator has norm 1, one step fits every slice, and the penalty
        # lambda R(x) of a 1-homogeneous R is (lambda / ||A||) R(u).
        unit = replace(
            measurement, samples=measurement.samples / scale, maps=measurement.maps / gain[:, None]
        )
        solver = _sparse_wavelet if self.regulariser == "wavelet" else _total_variation
        return solver(unit, self.lambda_ / gain, self.iterations) * (scale / gain)

    def _scale_of(self, measurement: Measured) -> float:
        return self.scale or bart_scale(measurement.samples, measurement.mask)


def method_named(
    name: str, *, lambda_: float | None = None, regulariser: Literal["wavelet", "tv"] = "wavelet"
) -> Method:
    """Return the method of that name, with its own weight where none is given.

    Raises
    ------
    RefusedInputError
        The name is unknown, or the method has no weight or no choice of regulariser.

    Examples
    --------
    >>> method_named("cgsense", lambda_=0.01)
    CgSense(lambda_=0.01, iterations=30)
    """
    if name != "cs":
        refuse_weight_of(name, lambda_=None, regulariser=regulariser)
    match name:
        case "cs":
            sparse = CompressedSensing(regulariser=regulariser)
            return sparse if lambda_ is None else replace(sparse, lambda_=lambda_)
        case "cgsense":
            return CgSense() if lambda_ is None else CgSense(lambda_=lambda_)
        case "zerofilled":
            refuse_weight_of(name, lambda_=lambda_)
            return Zerofilled()
    msg = f"method got {name!r}; allowed: cs, cgsense, zerofilled."
    raise RefusedInputError(msg)


def refuse_weight_of(
    name: str, *, lambda_: float | None, regulariser: Literal["wavelet", "tv"] = "wavelet"
) -> None:
    """Refuse a weight or a regulariser that was given to a method without one.

    Raises
    ------
    RefusedInputError
        Names the flag.
    """
    if regulariser != "wavelet":
        msg = f"--regulariser {regulariser} was given, but {name} has none; leave it out."
        raise RefusedInputError(msg)
    if lambda_ is not None:
        msg = f"--lambda {lambda_} was given, but {name} has no weight; leave it out."
        raise RefusedInputError(msg)


def _check_weights(lambda_: float, iterations: int) -> None:
    if not 0 <= lambda_ < float("inf"):
        msg = f"lambda got {lambda_}; allowed: at least 0 and finite. 0.005 is usual."
        raise RefusedInputError(msg)
    if iterations < 1:
        msg = f"iterations got {iterations}; allowed: at least 1. 30 to 60 is usual."
        raise RefusedInputError(msg)


def _operator_norm(maps: CoilMaps) -> PerSlice:
    """Return per slice the largest singular value of the maps at a pixel, a bound of ``||A||``."""
    pixels = maps.permute(0, 3, 4, 1, 2)
    if maps.shape[1] == 1:
        norms = torch.linalg.vector_norm(pixels[..., 0, :], dim=-1)
    else:
        norms = torch.linalg.eigvalsh(pixels @ pixels.mH)[..., -1].clamp_min(0).sqrt()
    largest = norms.flatten(1).amax(1)
    return torch.where(largest > 0, largest, 1)[:, None, None, None]


def _sparse_wavelet(unit: Measurement, weight: PerSlice, iterations: int) -> SetImages:
    normal = SenseNormal(unit.mask, unit.maps)
    zerofilled = unit.operator.H(unit.samples)
    shrink = ShiftedWaveletProx(tuple(zerofilled.shape[-2:]))
    return fista(
        lambda x: normal(x) - zerofilled,
        lambda x, step: shrink(x, step * weight),
        torch.zeros_like(zerofilled),
        step=STEP,
        iterations=iterations,
    )


def _total_variation(unit: Measurement, weight: PerSlice, iterations: int) -> SetImages:
    def shrink(gradients: Tensor, step: float) -> Tensor:
        length = torch.linalg.vector_norm(gradients, dim=-3, keepdim=True)
        excess = (length - step * weight[..., None]).clamp_min(0)
        return gradients * (excess / length.clamp_min(torch.finfo(length.dtype).tiny))

    return admm(
        _WithNormal(unit.operator, SenseNormal(unit.mask, unit.maps)),
        unit.samples,
        analysis=FiniteDifference(),
        prox=shrink,
        config=AdmmConfig(
            penalty=TV_PENALTY,
            iterations=iterations,
            inner_iterations=TV_INNER_ITERATIONS,
            batch_dims=1,
        ),
    )


class _WithNormal(LinearOperator):
    """An operator whose normal operator is known in a faster form."""

    def __init__(self, operator: LinearOperator, normal: LinearOperator) -> None:
        self._operator = operator
        self._normal = normal

    def forward(self, x: Array) -> Tensor:
        return self._operator.forward(x)

    def adjoint(self, y: Array) -> Tensor:
        return self._operator.adjoint(y)

    @property
    def gram(self) -> LinearOperator:
        return self._normal
