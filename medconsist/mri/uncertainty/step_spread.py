"""How much the images of one forward pass still differ: a heuristic that costs no second one."""

import copy
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.signal_blend import SignalBlend
from medconsist.mri.methods import Method, combine_sets
from medconsist.mri.reconstruction_network import Predictions, ReconstructionNetwork
from medconsist.mri.volumes.volume import Measured
from medconsist.shapes import ComplexImages, RealImages

__all__ = ["StepImages", "spread_of_steps", "step_images", "steps_of_method"]

_WINDOW = 9


@dataclass(frozen=True, eq=False)
class StepImages:
    """The image of one forward pass, and how far the steps before it were off it.

    Parameters
    ----------
    image
        After the last step.
    spread
        See `spread_of_steps`.

    Examples
    --------
    >>> StepImages(torch.zeros(1, 2, 2) + 0j, torch.zeros(1, 2, 2)).spread.shape
    torch.Size([1, 2, 2])
    """

    image: ComplexImages
    spread: RealImages


def spread_of_steps(predictions: Predictions, *, last: int | None = None) -> RealImages:
    r"""Return :math:`(\frac{1}{k |W|} \sum_t \sum_{r \in W} (|x_t| - |x_T|)^2)^{1/2}` by pixel.

    Over the last k images, in the order in which they were made through all cascades, and a
    window W of 9 x 9 pixels, cut at the edge of the image; the last image, T, is what they are
    compared with. An unsigned heuristic without a unit of probability: large where the network
    kept changing its mind, small also where it was wrong from the start. Only a calibration makes
    an interval of it.

    Window and number of images were chosen on validation scans of the simulator, by the mean
    half-width that covers 90 % of the pixels in 90 % of the scans. The gain over one half-width
    for all pixels was small.

    Parameters
    ----------
    predictions
        Every image of one forward pass, at least two.
    last
        k; None takes all but T: 39 of a CIRIM of 5 x 8.

    Raises
    ------
    RefusedInputError
        Fewer images than ``last + 1``, or fewer than two.
    """
    images = predictions.flatten(0, 1)
    asked = len(images) - 1 if last is None else last
    if not 1 <= asked < len(images):
        msg = (
            f"got {len(images)} images of one pass and last={last}; allowed: at least 2 images "
            f"and 1 to {len(images) - 1}. A network that returns one image has no steps."
        )
        raise RefusedInputError(msg)
    sizes = torch.stack([combine_sets(one).abs() for one in images[-1 - asked :]])
    squares = (sizes[:-1] - sizes[-1]).square().mean(0)
    return avg_pool2d(squares, _WINDOW, 1, _WINDOW // 2, count_include_pad=False).sqrt()


@torch.no_grad()
def step_images(
    network: ReconstructionNetwork,
    measurement: Measurement,
    *,
    scale: float,
    last: int | None = None,
    blend: SignalBlend | None = None,
) -> StepImages:
    """Return image and spread of one forward pass, slice by slice, in the units of the samples.

    Parameters
    ----------
    network
        On the device of the measurement.
    measurement
        What it sees.
    scale
        What the samples are divided by for the network.
    last
        See `spread_of_steps`.
    blend
        What is made of each image, see `LearnedMethod.blend_of`; None: nothing.

    Raises
    ------
    RefusedInputError
        The network returns too few images.
    """
    device, masks = measurement.samples.device, measurement.mask
    masks = masks.expand(len(measurement.samples), -1, -1)
    sigma = torch.tensor([measurement.sigma / scale], device=device)
    images, spreads = [], []
    for index in range(len(masks)):
        one = slice(index, index + 1)
        found = network(measurement.samples[one] / scale, masks[one], measurement.maps[one], sigma)
        if blend is not None:
            moved = [blend.part(one)(scale * image) / scale for image in found.flatten(0, 1)]
            found = torch.stack(moved)[None]
        images.append(combine_sets(found[-1, -1]))
        spreads.append(spread_of_steps(found, last=last))
    return StepImages(torch.cat(images) * scale, torch.cat(spreads) * scale)


def steps_of_method(method: Method, measurement: Measured) -> RealImages:
    """Return the spread of the steps of the network of a method, as its images are shown.

    Raises
    ------
    RefusedInputError
        The method has no network, or its network returns one image alone.
    """
    fixed = method.fixed(measurement)
    if not isinstance(fixed, LearnedMethod):
        msg = (
            f"{method.name} has no steps of a network; allowed: --uncertainty steps with --method "
            "cirim, or --uncertainty replica or splits."
        )
        raise RefusedInputError(msg)
    scale = fixed.scale_of(measurement)
    network, spreads = fixed.model.network, []
    for _, slab in measurement.slabs("steps"):
        device = slab.samples.device
        if next(network.parameters()).device != device:  # others may share the model's own
            network = copy.deepcopy(network).to(device)
        blend = fixed.blend_of(slab)
        spreads.append(step_images(network, slab, scale=scale, blend=blend).spread)
    return torch.cat(spreads)
