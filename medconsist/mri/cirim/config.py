"""What a recurrent inference machine is made of, as plain values."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from medconsist.errors import RefusedInputError
from medconsist.mri.reconstruction_network import Architecture

__all__ = ["PRESETS", "CirimConfig"]

_CHOICES = {
    "unit": ("indrnn", "gru", "mgu"),
    "consistency": ("implicit", "explicit", "varnet", "weighted"),
    "hidden": ("carried", "reset"),
    "gradient_scale": ("unit", "inverse_variance", "clamped_sigma"),
    "update": ("accumulated", "rectified"),
}


@dataclass(frozen=True, kw_only=True)
class CirimConfig(Architecture):
    """The architecture of RIM, IRIM and CIRIM; it is stored in every weight file.

    Karkalousos et al. 2022, doi:10.1088/1361-6560/ac6cc2 (CIRIM); Lønning et al. 2019,
    doi:10.1016/j.media.2019.01.005 (RIM); Karkalousos et al. 2020, arXiv:2012.07819 (IRIM, which
    is not the invertible i-RIM of Putzky & Welling).

    Parameters
    ----------
    cascades
        Blocks in a row; their weights are not shared. At least 1.
    steps
        Time-steps of each block, which share its weights. At least 1; as given, never rounded.
    features
        Channels of the hidden states.
    unit
        ``"indrnn"``: ``h' = ReLU(W u + b + w * h)`` with one weight w a channel (Li et al. 2018,
        arXiv:1803.04831); ``"gru"``: convolutional gated recurrent unit; ``"mgu"``: minimal gated
        unit.
    consistency
        ``"implicit"``: the gradient of the data term is an input of the network, and nothing
        else. After each cascade, ``"explicit"`` takes one gradient step
        ``x - w A^H (A x - y)`` with a learned w; ``"varnet"`` adds the change of the cascade to
        such a step from its start, ``x_0 - w A^H (A x_0 - y) + (x - x_0)``. ``"weighted"`` (ours)
        is the explicit step with weights that fall with the local density of samples,
        ``x - w A^H W (A x - y)``, see `data_weights`.
    hidden
        Whether the hidden states are ``"carried"`` from one cascade to the next or ``"reset"``.
    detach_cascades
        Train each cascade on its own: no gradient flows from one into the one before.
    gradient_scale
        What multiplies the gradient that the network is shown: ``"unit"`` 1,
        ``"inverse_variance"`` ``1 / sigma^2`` (mridc), ``"clamped_sigma"`` ``1 / max(sigma, 1)``
        (ATOMMIC).
    update
        ``"accumulated"``: each step adds to the image of the step before,
        ``x_t+1 = x_t + out(h2)``. ``"rectified"``: what DIRECT's released code computes; each step
        adds what is positive to the start x_0 of its cascade, ``x_t+1 = x_0 + ReLU(out(h2))``, and
        is shown image and gradient at x_0. For its weights alone.
    noise_input
        Show the network the noise level, as a fifth input channel ``2 + log10 sigma``.

    Raises
    ------
    RefusedInputError
        A number is below 1, or a word is not allowed.

    Examples
    --------
    >>> PRESETS["rim"].unit
    'gru'
    """

    kind: ClassVar[str] = "cirim"

    cascades: int = 5
    steps: int = 8
    features: int = 64
    unit: Literal["indrnn", "gru", "mgu"] = "indrnn"
    consistency: Literal["implicit", "explicit", "varnet", "weighted"] = "implicit"
    hidden: Literal["carried", "reset"] = "carried"
    detach_cascades: bool = False
    gradient_scale: Literal["unit", "inverse_variance", "clamped_sigma"] = "unit"
    update: Literal["accumulated", "rectified"] = "accumulated"
    noise_input: bool = False

    def __post_init__(self) -> None:
        counts = {"cascades": self.cascades, "steps": self.steps, "features": self.features}
        wrong = {name: n for name, n in counts.items() if not isinstance(n, int) or n < 1}
        if wrong:
            msg = (
                f"got {wrong}; allowed: whole numbers of at least 1. 5 cascades, 8 steps and 64 "
                "features are usual."
            )
            raise RefusedInputError(msg)
        for name, allowed in _CHOICES.items():
            got = getattr(self, name)
            if got not in allowed:
                msg = f"{name} got {got!r}; allowed: {', '.join(map(repr, allowed))}."
                raise RefusedInputError(msg)

    @property
    def input_channels(self) -> int:
        """Real and imaginary part of image and gradient, and perhaps the noise level."""
        return 5 if self.noise_input else 4

    @property
    def blocks(self) -> int:
        """The cascades."""
        return self.cascades


PRESETS = {
    "cirim": CirimConfig(),
    "irim": CirimConfig(cascades=1),
    "rim": CirimConfig(cascades=1, unit="gru"),
}
