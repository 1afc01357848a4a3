"""The most memory that a network holds, for one slice: to reconstruct it, and to learn from it."""

from collections.abc import Mapping

import torch
from torch import Generator

from medconsist.mri.benchmark.entrants import Entrant
from medconsist.mri.learned.draws import draw_acquisition
from medconsist.mri.learned.loss import supervised_loss
from medconsist.mri.learned.networks import make_network
from medconsist.mri.scan_pool import ScanPool
from medconsist.training.cost import peak_bytes

__all__ = ["memory_of"]


def memory_of(entrant: Entrant, slices: ScanPool) -> Mapping[str, float]:
    """Return peak bytes of torch's allocator beyond weights and samples, on the CPU.

    Parameters
    ----------
    entrant
        Whose network; untrained weights take as much as trained ones.
    slices
        Where the slice comes from.

    Returns
    -------
    Mapping
        ``"inference"`` and ``"a training step"`` [bytes].
    """
    network = make_network(entrant.network, generator=Generator().manual_seed(0))
    seen = draw_acquisition(slices, Generator().manual_seed(0))
    inputs = (seen.samples, seen.mask, seen.maps, seen.sigma)

    def infer() -> None:
        with torch.no_grad():
            network(*inputs)

    def step() -> None:
        images = network(*inputs)
        loss = supervised_loss(
            images, seen.reference, distance="l1_ssim", weighting=entrant.weighting
        )
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        network.zero_grad()

    cpu = torch.device("cpu")
    infer()  # what the first call alone allocates is not counted
    found = {"inference": infer, "a training step": step}
    return {name: float(peak_bytes(job, device=cpu)) for name, job in found.items()}
