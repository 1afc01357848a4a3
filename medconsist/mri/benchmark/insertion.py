"""Lesions in one scan of this simulator, added to its samples, and what a method shows of them.

Of a scan in a cell these measurements are made, with masks and maps the same in all:

- *without*: the samples as they are;
- *present*, one for each kind of lesion: ``y + A delta``, the same noise, a lesion at every site,
  added with the maps of the scan even where the method is given wrong ones;
- *absent*, the sham insertion: contrast 0, and **another draw of the noise** (the samples of the
  same head without noise, which the simulator can give, and white noise of the scan's level).

So the change that a lesion makes is judged at equal noise, and the observer's two classes have the
anatomy of a site and the coil maps in common but no noise of the samples. Each measurement is
reconstructed once: 2 + one for each kind, 6 in all, as lesions stand together, 16 pixels apart. For
a linear method the change at a site is, exactly, that of its own lesion alone plus what the others
alias to it: for CG-SENSE of weight 0.01, 19 lesions of FWHM 4 px, the others change the response by
-0.6 to 0.2 % of the peak on the mean of a scan and by 0.5 to 1.3 % (SD) at a site (2 scans, 1-D and
2-D 8x at 128 x 128). For networks and compressed sensing superposition is an approximation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.observer_channels import channel_outputs, dense_gaussian_channels
from medconsist.mri.bench.learned.scans import DrawnScan, Measured
from medconsist.mri.benchmark.insertion_plan import InsertionPlan
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.forward import Measurement, sense_operator
from medconsist.mri.lesion_images import change_at, inside_object, lesion_image, scattered
from medconsist.mri.methods import Method
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace, ComplexImages, RealImages

__all__ = ["Insertion", "LesionFigures", "another_noise", "drawn_sites", "figures_of"]
__all__ += ["full_image", "insert"]

Reconstruct = Callable[[Measurement], Tensor]
Sites = Int[Tensor, "sites 3"]


@dataclass(frozen=True, eq=False)
class Insertion:
    """One scan in one cell, with its lesions.

    Parameters
    ----------
    plan
        What was inserted.
    anatomy
        The fully sampled image: phase and intensity, the same for every cell and method.
    intensity
        That contrasts are relative to.
    reference
        Magnitude of the noise-free image.
    sites
        Where lesions are: slice, row, column.
    without, present, absent
        See the module; ``present`` in the order of the kinds.

    Examples
    --------
    See `insert`.
    """

    plan: InsertionPlan
    anatomy: ComplexImages
    intensity: float
    reference: RealImages
    sites: Sites
    without: Measurement
    present: tuple[Measurement, ...]
    absent: Measurement


@dataclass(frozen=True, kw_only=True)
class LesionFigures:
    """What one method showed in one scan; plain numbers, so that it can be kept as JSON.

    Parameters
    ----------
    response
        Words of the kind to the share of the peak that came back at each site.
    sham
        Words of the kind to the same number half a spacing beside each site, less what the lesion
        itself reaches there.
    present
        Words of the kind to the channel outputs at each site, relative to the intensity.
    without, absent
        Channel outputs at the same sites without a lesion: in the noise of ``present``, and in the
        other.
    anatomy
        Channel outputs of the noise-free reference at the same sites: less these, the others are of
        what the method adds to the anatomy.

    Examples
    --------
    >>> sites = {"without": [[0.1]], "absent": [[0.2]], "anatomy": [[0.0]]}
    >>> LesionFigures(response={}, sham={}, present={}, **sites).absent
    [[0.2]]
    """

    response: dict[str, list[float]]
    sham: dict[str, list[float]]
    present: dict[str, list[list[float]]]
    without: list[list[float]]
    absent: list[list[float]]
    anatomy: list[list[float]]


def another_noise(scan: DrawnScan, noiseless: CoilKSpace, *, generator: Generator) -> CoilKSpace:
    """Return the samples of a scan with another draw of its noise, ``E|n|^2 = sigma^2``.

    Parameters
    ----------
    scan
        Gives the level; its noise is white by prewhitening, to the error of its noise scan (2 to 3
        % of the covariance, measured with 8,192 samples).
    noiseless
        The samples of the same head and coils without noise.
    generator
        Source of the noise.
    """
    drawn = torch.randn(
        noiseless.shape, dtype=noiseless.dtype, generator=generator, device=generator.device
    )
    return noiseless + scan.sigma * drawn.to(noiseless.device)


def drawn_sites(anatomy: ComplexImages, plan: InsertionPlan, *, generator: Generator) -> Sites:
    """Return as many sites inside the object as find room, drawn one after the other.

    Not on a lattice: its lesions alias to each other's places all alike, and the response then says
    which few frequencies were sampled (a lattice of 16 in 128 pixels has energy at every eighth
    line alone).

    Raises
    ------
    RefusedInputError
        There is room for none.
    """
    room = inside_object(object_mask(anatomy), plan.margin_px).cpu()
    # a patch, and the sham beside a site, are not cut off by the edge of the image
    margin = max(plan.margin_px, plan.spacing_px // 2)
    edge = torch.ones_like(room)
    edge[:, margin:-margin, margin:-margin] = False
    found = scattered(room & ~edge, spacing_px=plan.spacing_px, generator=generator)
    if not len(found):
        msg = (
            f"no site lies {margin} pixels inside the image and {plan.margin_px} pixels inside the "
            "object; take larger images or a smaller margin."
        )
        raise RefusedInputError(msg)
    return found


def full_image(scan: DrawnScan) -> ComplexImages:
    """Return the fully sampled image, ``S^H F^H y`` with the first map set, in its units."""
    return (scan.maps[:, 0].conj() * Fourier().adjoint(scan.samples)).sum(1)


def insert(
    seen: Measured,
    scan: DrawnScan,
    another: CoilKSpace,
    sites: Sites,
    *,
    plan: InsertionPlan,
) -> Insertion:
    """Return a scan in a cell with lesions, without, and with a sham insertion.

    Parameters
    ----------
    seen
        The scan as the cell samples it, its maps perhaps wrong.
    scan
        The scan itself.
    another
        Its samples with other noise, see `another_noise`.
    sites
        Where lesions are put: slice, row, column.
    plan
        What is inserted.

    Examples
    --------
    >>> from medconsist.mri.bench.learned.cells import CELLS
    >>> from medconsist.mri.bench.learned.scans import draw_scan, measured_in
    >>> scan = draw_scan("test", 0)
    >>> (seen,), sites = measured_in(CELLS[:1], scan), torch.tensor([[0, 64, 64]])
    >>> made = insert(seen, scan, scan.samples, sites, plan=InsertionPlan())
    >>> len(made.present)
    4
    """
    without = seen.measurement
    scale = scan.sigma / without.sigma
    anatomy = full_image(scan) / scale
    intensity = reference_intensity(anatomy)
    forward = sense_operator(without.mask, scan.maps[:, :1])
    present = []
    for kind in plan.kinds:
        delta = lesion_image(anatomy, sites, peak=kind.contrast * intensity, fwhm_px=kind.fwhm_px)
        present.append(without.with_samples(without.samples + forward(delta[:, None])))
    absent = without.with_samples(another / scale)
    return Insertion(
        plan, anatomy, intensity, seen.reference, sites, without, tuple(present), absent
    )


def figures_of(method: Reconstruct, made: Insertion) -> LesionFigures | None:
    """Reconstruct all measurements and return responses and channel outputs.

    A `Method` that estimates a scale has it from the samples without lesions for all of them. None
    where an image is not finite.

    Parameters
    ----------
    method
        Measurement to complex image.
    made
        See `insert`.
    """
    fixed = method.fixed(made.without) if isinstance(method, Method) else method
    plan, kinds = made.plan, made.plan.kinds
    without, absent = fixed(made.without), fixed(made.absent)
    shown = {
        kind.words: fixed(measured) for kind, measured in zip(kinds, made.present, strict=True)
    }
    if not all(bool(image.isfinite().all()) for image in (without, absent, *shown.values())):
        return None
    beside = _beside(made)
    response, sham = dict[str, list[float]](), dict[str, list[float]]()
    for kind in kinds:
        peak = kind.contrast * made.intensity
        change = shown[kind.words] - without
        inserted = lesion_image(made.anatomy, made.sites, peak=peak, fwhm_px=kind.fwhm_px)
        response[kind.words] = (change_at(change, made.anatomy, made.sites) / peak).tolist()
        sham[kind.words] = (change_at(change - inserted, made.anatomy, beside) / peak).tolist()
    channels = dense_gaussian_channels(plan.side, count=plan.channels, first=plan.first)

    def outputs(image: Tensor) -> list[list[float]]:
        patches = _patches(image.abs() / made.intensity, made.sites, plan.side)
        found: list[list[float]] = channel_outputs(patches, channels).tolist()
        return found

    return LesionFigures(
        response=response,
        sham=sham,
        present={words: outputs(image) for words, image in shown.items()},
        without=outputs(without),
        absent=outputs(absent),
        anatomy=outputs(made.reference),
    )


def _beside(made: Insertion) -> Sites:
    """Return a place for each site: towards the middle, half a spacing away, on the diagonal."""
    middle = torch.tensor([0, *(size // 2 for size in made.anatomy.shape[1:])])
    step = round(made.plan.spacing_px / 2 / math.sqrt(2))
    return made.sites + torch.where(made.sites < middle, 1, -1) * torch.tensor([0, step, step])


def _patches(
    image: Float[Tensor, "slices height width"], sites: Sites, side: int
) -> Float[Tensor, "sites side side"]:
    half = math.floor(side / 2)
    rows = [
        image[z, row - half : row + half + 1, column - half : column + half + 1]
        for z, row, column in sites.tolist()
    ]
    return torch.stack(rows)
