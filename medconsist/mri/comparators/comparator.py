"""What the comparators share: iterations, each of which leaves an image."""

from abc import abstractmethod
from collections.abc import Iterator

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medconsist.mri.comparators.scan import Scan
from medconsist.mri.comparators.settings import ComparatorConfig
from medconsist.mri.reconstruction_network import Predictions, ReconstructionNetwork
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["Comparator", "State"]

State = tuple[Tensor, ...]
"""What one iteration hands to the next; first the image, ``slices sets height width``."""


class Comparator(ReconstructionNetwork):
    """Iterations over a state, whose first entry is the image; one step a cascade.

    Slices do not know each other, and any number of coils and any size will do. The images keep the
    precision of the samples; convolutions are of that of the weights. The noise level is not
    looked at. In `low_memory` each iteration is computed again in the backward pass.
    """

    config: ComparatorConfig

    def forward(
        self,
        samples: CoilKSpace,
        mask: SamplingMask,
        maps: CoilMaps,
        sigma: Float[Tensor, " slices"],  # noqa: ARG002 - the call that all networks share
        *,
        low_memory: bool = False,
    ) -> Predictions:
        """Return the image after each iteration; see `ReconstructionNetwork.forward`."""
        scan = Scan(samples, mask, maps)
        turn = None
        if self.config.phase == "removed":
            turn = _unit_phase(scan.zerofilled)
            scan = Scan(samples * turn.conj(), mask, maps)
        state, images = self._start(scan), list[Tensor]()
        for part in self._parts():
            state = self._next(scan, part, state, low_memory=low_memory)
            images.append(state[0])
        found = torch.stack(images)[:, None]
        return found if turn is None else found * turn

    def _next(self, scan: Scan, part: nn.Module, state: State, *, low_memory: bool) -> State:
        if low_memory and torch.is_grad_enabled():
            found: State = checkpoint(
                self._iterate, scan, part, *state, use_reentrant=False, preserve_rng_state=False
            )
            return found
        return self._iterate(scan, part, *state)

    def _parts(self) -> Iterator[nn.Module]:
        """Yield the part with the weights of each iteration."""
        return iter(self.cascades)

    @abstractmethod
    def _start(self, scan: Scan) -> State:
        """Return the state before the first iteration."""

    @abstractmethod
    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:
        """Return the state after one more iteration."""


def _unit_phase(
    image: Complex[Tensor, "slices sets height width"],
) -> Complex[Tensor, "slices 1 1 1"]:
    """Return the phase of ``sum x |x|``, 1 where there is none."""
    total = (image * image.abs()).sum((1, 2, 3), keepdim=True)
    return torch.where(total == 0, 1, total.sgn())
