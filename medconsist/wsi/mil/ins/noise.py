"""Two views of one feature vector: noise that is really there."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError

__all__ = ["FeatureNoise"]

Kind = Literal["dropout", "additive", "none"]


@dataclass(frozen=True, kw_only=True)
class FeatureNoise:
    r"""What may differ between the weak and the strong view of a feature vector.

    With strength :math:`r` and independent entries:

    - ``"dropout"``: :math:`x_d m_d / (1 - r)` with :math:`m_d = 0` with probability :math:`r`;
    - ``"additive"``: :math:`x_d + r \sigma(x) n_d`, with the standard deviation :math:`\sigma` over
      the entries of the vector and :math:`n_d` standard normal;
    - ``"none"``: x. The released feature script calls dropout with ``training=False``, so that its
      two views are the same vector; reachable by this name.

    Parameters
    ----------
    kind
        See above.
    weak, strong
        Strengths of the query's and of the key's view; >= 0, below 1 for dropout.

    Raises
    ------
    RefusedInputError
        An unknown kind, or a strength out of its range.

    Examples
    --------
    >>> weak, strong = FeatureNoise()(torch.ones(1, 4), Generator().manual_seed(0))
    >>> weak.tolist()
    [[1.25, 1.25, 0.0, 0.0]]
    """

    kind: Kind = "dropout"
    weak: float | int = 0.2
    strong: float | int = 0.4

    def __post_init__(self) -> None:
        most = 1.0 if self.kind == "dropout" else math.inf
        if self.kind not in get_args(Kind) or not all(
            0 <= r < most for r in (self.weak, self.strong)
        ):
            msg = (
                f"noise got kind {self.kind!r} with strengths {self.weak} and {self.strong}; "
                f"allowed: {', '.join(get_args(Kind))}, strengths >= 0 and for dropout below 1."
            )
            raise RefusedInputError(msg)

    def __call__(
        self, features: Float[Tensor, "instances dim"], generator: Generator
    ) -> tuple[Float[Tensor, "instances dim"], Float[Tensor, "instances dim"]]:
        """Return the weak and the strong view, drawn one after the other."""
        weak = self._view(features, self.weak, generator)
        return weak, self._view(features, self.strong, generator)

    def _view(self, features: Tensor, strength: float | int, generator: Generator) -> Tensor:
        if self.kind == "none":
            return features
        if self.kind == "dropout":
            kept = torch.rand(features.shape, generator=generator) >= strength
            return features * kept / (1 - strength)
        noise = torch.randn(features.shape, generator=generator)
        return features + strength * features.std(1, keepdim=True) * noise
