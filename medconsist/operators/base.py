"""Linear operators with an exact adjoint, and their algebra.

An operator maps tensors to tensors and knows its adjoint, so that physics reads as in the paper:
``A = mask @ fourier @ coils`` and ``A.H(A(x) - y)`` is the gradient of ``0.5 ||A x - y||^2``.
"""

from abc import ABC, abstractmethod

from torch import Tensor

from medconsist.shapes import Array

__all__ = ["Identity", "LinearOperator"]

Scalar = int | float | complex | Tensor


class LinearOperator(ABC):
    """A linear map ``A`` with adjoint ``A^H``: ``<A x, y> = <x, A^H y>`` for all x, y.

    Subclasses write ``forward`` and ``adjoint``. Both are batched: axes in front of those that an
    operator names are independent. Device and dtype follow the input. That a subclass is linear
    and that its adjoint fits are not checked here; ``tests/contracts/test_operators.py`` does it
    for the whole family.

    Examples
    --------
    >>> import torch
    >>> twice = 2.0 * Identity()
    >>> (twice.H @ twice)(torch.ones(2))
    tensor([4., 4.])
    """

    @abstractmethod
    def forward(self, x: Array) -> Tensor:
        """Return ``A x``."""

    @abstractmethod
    def adjoint(self, y: Array) -> Tensor:
        """Return ``A^H y``."""

    def __call__(self, x: Array) -> Tensor:
        """Return ``A x``."""
        return self.forward(x)

    @property
    def H(self) -> "LinearOperator":  # noqa: N802  the field writes A^H
        """The adjoint as an operator."""
        return _Adjoint(self)

    @property
    def gram(self) -> "LinearOperator":
        """The normal operator ``A^H A``; subclasses with a cheaper form override it."""
        return self.H @ self

    def __matmul__(self, other: "LinearOperator") -> "LinearOperator":
        """Return the composition: ``(A @ B)(x) = A(B(x))``."""
        return _Composition(self, other)

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        """Return the sum: ``(A + B)(x) = A(x) + B(x)``."""
        return _Sum(self, other)

    def __mul__(self, factor: Scalar) -> "LinearOperator":
        """Return ``A`` after multiplication of its input by a scalar, ``A(factor * x)``."""
        return _Scaled(self, factor)

    def __rmul__(self, factor: Scalar) -> "LinearOperator":
        """Return the scaled operator: ``(factor * A)(x) = factor * A(x)``."""
        return _Scaled(self, factor)


class Identity(LinearOperator):
    """The operator that changes nothing.

    Examples
    --------
    >>> import torch
    >>> Identity()(torch.ones(1))
    tensor([1.])
    """

    def forward(self, x: Array) -> Tensor:
        """Return ``x``."""
        return x

    def adjoint(self, y: Array) -> Tensor:
        """Return ``y``."""
        return y


class _Adjoint(LinearOperator):
    def __init__(self, operator: LinearOperator) -> None:
        self._operator = operator

    def forward(self, x: Array) -> Tensor:
        return self._operator.adjoint(x)

    def adjoint(self, y: Array) -> Tensor:
        return self._operator.forward(y)

    @property
    def H(self) -> LinearOperator:  # noqa: N802
        return self._operator


class _Composition(LinearOperator):
    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        self._outer = outer
        self._inner = inner

    def forward(self, x: Array) -> Tensor:
        return self._outer.forward(self._inner.forward(x))

    def adjoint(self, y: Array) -> Tensor:
        return self._inner.adjoint(self._outer.adjoint(y))

    @property
    def gram(self) -> LinearOperator:
        return self._inner.H @ self._outer.gram @ self._inner


class _Sum(LinearOperator):
    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        self._left = left
        self._right = right

    def forward(self, x: Array) -> Tensor:
        return self._left.forward(x) + self._right.forward(x)

    def adjoint(self, y: Array) -> Tensor:
        return self._left.adjoint(y) + self._right.adjoint(y)


class _Scaled(LinearOperator):
    def __init__(self, operator: LinearOperator, factor: Scalar) -> None:
        self._operator = operator
        self._factor = factor
        self._conjugate = factor.conj() if isinstance(factor, Tensor) else factor.conjugate()

    def forward(self, x: Array) -> Tensor:
        return self._factor * self._operator.forward(x)

    def adjoint(self, y: Array) -> Tensor:
        return self._conjugate * self._operator.adjoint(y)

    @property
    def gram(self) -> LinearOperator:
        return self._operator.gram * (self._conjugate * self._factor)
