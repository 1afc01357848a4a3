"""What every linear operator must do; a new operator is one line in `OPERATORS`."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from medconsist.mri.forward import sense_operator
from medconsist.operators.base import Identity, LinearOperator
from medconsist.operators.differences import FiniteDifference
from medconsist.operators.fourier import Fourier
from medconsist.operators.sampling import Sampling
from medconsist.operators.wavelet import Wavelet
from medconsist.operators.weighting import Pointwise, SumAxis, WeightAndSum

# Rounding of one pass: a few machine epsilons (2.2e-16 and 1.2e-7) of the norms.
TOLERANCE = {torch.complex128: 1e-12, torch.complex64: 1e-5}


@dataclass(frozen=True)
class Maker:
    """Draws the arrays of an operator, in one dtype and on one device."""

    dtype: torch.dtype = torch.complex128
    device: str = "cpu"
    seed: int = 1

    def numbers(self, *shape: int, seed: int | None = None) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed if seed is None else seed)
        drawn = torch.randn(*shape, dtype=torch.complex128, generator=generator)
        return drawn.to(self.device, self.dtype)

    def mask(self, *shape: int) -> Tensor:
        return self.numbers(*shape).real > 0

    def sense(self, n_sets: int, n_masks: int) -> LinearOperator:
        return sense_operator(self.mask(n_masks, 6, 5), self.numbers(2, n_sets, 3, 6, 5))


@dataclass(frozen=True)
class Case:
    """One operator and the shape of its domain without extra batch axes."""

    name: str
    domain: tuple[int, ...]
    build: Callable[[Maker], LinearOperator]


OPERATORS = [
    Case("identity", (6, 5), lambda _: Identity()),
    Case("fourier odd and even", (6, 5), lambda _: Fourier()),
    Case("fourier of one axis", (2, 7), lambda _: Fourier(dims=(-1,))),
    Case("fourier of three axes", (4, 3, 5), lambda _: Fourier(dims=(-3, -2, -1))),
    Case("pointwise", (3, 5), lambda m: Pointwise(m.numbers(5))),
    Case("weight and sum", (6, 5), lambda m: WeightAndSum(m.numbers(3, 6, 5))),
    Case("weight and sum by slice", (2, 6, 5), lambda m: WeightAndSum(m.numbers(2, 3, 6, 5))),
    Case("sum axis", (3, 6, 5), lambda _: SumAxis(-3, size=3)),
    Case("sampling", (3, 6, 5), lambda m: Sampling(m.mask(6, 5))),
    Case("sampling of a series", (12,), lambda m: Sampling(m.mask(12))),
    Case("haar", (8, 12), lambda _: Wavelet((8, 12), name="haar", levels=2)),
    Case("db2", (8, 12), lambda _: Wavelet((8, 12), levels=2)),
    Case("db2, lengths to be padded", (7, 10), lambda _: Wavelet((7, 10), levels=2)),
    Case("db2 shorter than its filter", (2, 3), lambda _: Wavelet((2, 3))),
    Case("db2 of a series", (13,), lambda _: Wavelet((13,), dims=(-1,), levels=3)),
    Case("db2 of axes apart", (6, 3, 5), lambda _: Wavelet((6, 5), dims=(-3, -1))),
    Case("differences", (6, 5), lambda _: FiniteDifference()),
    Case("periodic differences", (6, 5), lambda _: FiniteDifference(edge="periodic")),
    Case("differences of a series", (7,), lambda _: FiniteDifference(dims=(-1,))),
    Case("differences of axes apart", (4, 2, 5), lambda _: FiniteDifference(dims=(-3, -1))),
    Case("composition", (6, 5), lambda m: Sampling(m.mask(6, 5)) @ Fourier()),
    Case("sum", (6, 5), lambda m: Fourier() + Pointwise(m.numbers(6, 5))),
    Case("scaled by a real", (6, 5), lambda _: 2.5 * Fourier()),
    Case("scaled by a complex", (6, 5), lambda _: Fourier() * (1.5 - 2j)),
    Case("scaled by a tensor", (6, 5), lambda m: m.numbers(1)[0] * Fourier()),
    Case("adjoint of weight and sum", (3, 6, 5), lambda m: WeightAndSum(m.numbers(3, 6, 5)).H),
    Case("adjoint of a padded db2", (8, 12), lambda _: Wavelet((7, 10), levels=2).H),
    Case("gram of a composition", (6, 5), lambda m: (Sampling(m.mask(6, 5)) @ Fourier()).gram),
    Case("sense", (2, 1, 6, 5), lambda m: m.sense(n_sets=1, n_masks=2)),
    Case("sense, one mask for all", (2, 1, 6, 5), lambda m: m.sense(n_sets=1, n_masks=1)),
    Case("soft sense of two sets", (2, 2, 6, 5), lambda m: m.sense(n_sets=2, n_masks=2)),
    Case("normal operator", (2, 1, 6, 5), lambda m: m.sense(1, 1).gram + 0.1 * Identity()),
]
every_operator = pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
both_precisions = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)


def inner(x: Tensor, y: Tensor) -> complex:
    return complex(torch.vdot(x.flatten(), y.flatten()))


def relative_gap(operator: LinearOperator, maker: Maker, domain: tuple[int, ...]) -> float:
    """Return ``|<A x, y> - <x, A^H y>| / (||A x|| ||y||)`` for random x and y."""
    x = maker.numbers(*domain, seed=2)
    image = operator(x)
    y = maker.numbers(*image.shape, seed=3)
    gap = abs(inner(image, y) - inner(x, operator.H(y)))
    return gap / float(image.norm() * y.norm())


def relative_error(got: Tensor, wanted: Tensor) -> float:
    assert got.shape == wanted.shape
    return float((got - wanted).norm() / wanted.norm())


@every_operator
@both_precisions
def test_adjoint_moves_to_the_other_side_of_the_inner_product(
    case: Case, dtype: torch.dtype
) -> None:
    maker = Maker(dtype)
    assert relative_gap(case.build(maker), maker, case.domain) < TOLERANCE[dtype]


@every_operator
def test_forward_and_adjoint_are_linear(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    factor = 0.3 - 1.7j
    for linear, shape in (
        (operator, case.domain),
        (operator.H, operator(maker.numbers(*case.domain)).shape),
    ):
        x, z = maker.numbers(*shape, seed=2), maker.numbers(*shape, seed=3)
        assert relative_error(linear(factor * x + z), factor * linear(x) + linear(z)) < 1e-12


@every_operator
def test_gram_is_adjoint_after_forward(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    x = maker.numbers(*case.domain, seed=2)
    assert relative_error(operator.gram(x), operator.H(operator(x))) < 1e-12


@every_operator
def test_batch_in_front_equals_element_by_element(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    x = maker.numbers(3, *case.domain, seed=2)
    forward = operator(x)
    adjoint = operator.H(forward)
    assert relative_error(forward, torch.stack([operator(one) for one in x])) < 1e-12
    assert relative_error(adjoint, torch.stack([operator.H(one) for one in forward])) < 1e-12


@every_operator
def test_gradient_of_the_data_term_is_what_autograd_finds(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    x = maker.numbers(*case.domain, seed=2).requires_grad_()
    y = maker.numbers(*operator(x).shape, seed=3)
    (gradient,) = torch.autograd.grad(0.5 * (operator(x) - y).abs().square().sum(), x)
    assert relative_error(gradient, operator.H(operator(x) - y).detach()) < 1e-12


@every_operator
def test_forward_and_adjoint_pass_gradcheck(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    x = maker.numbers(*case.domain, seed=2).requires_grad_()
    y = maker.numbers(*operator(x).shape, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(operator, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.H, (y,), fast_mode=True)


@every_operator
@both_precisions
def test_dtype_and_device_follow_the_input(case: Case, dtype: torch.dtype) -> None:
    maker = Maker(dtype)
    operator = case.build(maker)
    image = operator(maker.numbers(*case.domain))
    for result in (image, operator.H(image), operator.gram(maker.numbers(*case.domain))):
        assert result.dtype == dtype
        assert result.device.type == "cpu"


@every_operator
def test_forward_and_adjoint_leave_their_input_as_it_was(case: Case) -> None:
    maker = Maker()
    operator = case.build(maker)
    x = maker.numbers(*case.domain)
    image = operator(x)
    kept = x.clone(), image.clone()
    operator.H(image)
    assert torch.equal(x, kept[0])
    assert torch.equal(image, kept[1])


@pytest.mark.parametrize(
    "case",
    [case for case in OPERATORS if not case.name.startswith("adjoint")],
    ids=lambda case: case.name,
)
def test_adjoint_of_the_adjoint_is_the_operator_itself(case: Case) -> None:
    operator = case.build(Maker())
    assert operator.H.H is operator


@pytest.mark.gpu
@every_operator
@both_precisions
def test_cuda_gives_what_the_cpu_gives(case: Case, dtype: torch.dtype) -> None:
    cpu, cuda = Maker(dtype), Maker(dtype, device="cuda")
    operator = case.build(cuda)
    image = operator(cuda.numbers(*case.domain))
    assert image.device.type == "cuda"
    wanted = case.build(cpu)(cpu.numbers(*case.domain))
    assert relative_error(image.cpu(), wanted) < TOLERANCE[dtype]
    assert relative_gap(operator, cuda, case.domain) < TOLERANCE[dtype]
