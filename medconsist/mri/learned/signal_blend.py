"""What an adaptation may change: the image where there is signal, the air never."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medconsist.mri.methods import SetImages
from medconsist.shapes import CoilMaps

__all__ = ["SignalBlend", "signal_weight"]

_WINDOW = 7


@dataclass(frozen=True, eq=False)
class SignalBlend:
    r"""The image of the start, moved towards that of the adapted network where there is signal.

    .. math:: x = x_0 + w (x_1 - x_0)

    Withheld samples measure squared errors, to which the air adds next to nothing, so that neither
    training nor the test on samples sees what an adaptation does there; a reader does. Of the
    simulator's validation scans an adaptation that lowered the NMSE often lowered the SSIM too: it
    rose within the head, and fell in the air, which moved biases paint. The level of w was chosen
    on a few of them; ``medconsist bench mri-adapt`` has rows with and without the blend.

    Parameters
    ----------
    start
        :math:`x_0`, of the network as it was.
    weight
        w, see `signal_weight`.

    Examples
    --------
    >>> import torch
    >>> start, maps = torch.ones(1, 1, 8, 8) + 0j, torch.ones(1, 1, 2, 8, 8) + 0j
    >>> bool((SignalBlend.of(start, maps, scale=1.0, level=1.0)(3 * start) == 2).all())
    True
    """

    start: SetImages
    weight: Float[Tensor, "slices sets height width"]

    @classmethod
    def of(
        cls, start: SetImages, maps: CoilMaps, *, scale: float, level: float | None
    ) -> "SignalBlend":
        """Return the blend that starts there; ``scale`` is that of the samples, see `rss_scale`."""
        return cls(start, signal_weight(start / scale, maps, level=level))

    def part(self, at: slice) -> "SignalBlend":
        """Return the blend of some slices."""
        return SignalBlend(self.start[at], self.weight[at])

    def __call__(self, adapted: SetImages) -> SetImages:
        """Return x for the images of the adapted network, from the samples of the start."""
        return self.start + self.weight * (adapted - self.start)


def signal_weight(
    start: SetImages, maps: CoilMaps, *, level: float | None
) -> Float[Tensor, "slices sets height width"]:
    r"""Return :math:`w = s^2 / (s^2 + l^2)`, and 0 where no coil of a set sees anything.

    :math:`s^2` is the mean of :math:`\sum_\mathrm{sets} |x_0|^2` over 7 x 7 pixels, cut at the
    edge: Wiener's weight of a correction whose size follows the signal, beside an error of the
    size l that does not.

    Parameters
    ----------
    start
        :math:`x_0`.
    maps
        As in `Measurement`.
    level
        l, positive, in the units of ``start``; None takes 1 for w wherever a coil sees.
    """
    seen = (maps.abs().sum(2) > 0).to(start.real.dtype)
    if level is None:
        return seen
    power = start.abs().square().sum(1, keepdim=True)
    local = avg_pool2d(power, _WINDOW, 1, padding=_WINDOW // 2, count_include_pad=False)
    return seen * local / (local + level**2)
