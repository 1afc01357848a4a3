"""Lesion insertion in data space: how much of a known change a method gives back.

It needs no ground truth: ``A delta`` is added to the measured samples, the image is reconstructed
with and without it, and the local difference is compared with ``delta``. What it cannot show:
errors of the forward model, which the inserted lesions share.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.report import Estimate, interval
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.forward import Measurement
from medconsist.mri.lesion_images import change_at, inside_object, lesion_image, scattered
from medconsist.shapes import ComplexImages

__all__ = ["LesionResponse", "LesionRow", "LesionStudy", "Sites", "central_sites"]
__all__ += ["lesion_responses", "lesion_rows", "scattered_sites"]

Method = Callable[[Measurement], ComplexImages]


@dataclass(frozen=True)
class LesionStudy:
    """The lesions of a study: Gaussian, in the phase of the image, brighter than it.

    Parameters
    ----------
    contrast
        Peak, relative to ``features.reference_intensity`` of the anatomy (not clipped).
    fwhm_px
        Widths, each studied by itself [pixels].
    n_sites
        Number of sites, the unit of analysis.
    spacing_px
        Least distance of two sites [pixels].
    apart_fwhm
        Least distance of lesions inserted together, in widths (a Gaussian has fallen to 0.002 at
        1.5, to nothing at 3): sites are divided into groups, one reconstruction each, so that
        lesions do not overlap.

    Examples
    --------
    >>> LesionStudy(fwhm_px=(4.0,)).contrast
    0.1
    """

    contrast: float = 0.10
    fwhm_px: tuple[float, ...] = (1.5, 2.5, 4.0, 8.0)
    n_sites: int = 25
    spacing_px: float = 14.0
    apart_fwhm: float = 3.0

    def __post_init__(self) -> None:
        if self.n_sites < 1 or not self.spacing_px > 0 or not self.apart_fwhm > 0:
            msg = (
                f"got {self.n_sites} sites, spacing {self.spacing_px} pixels and "
                f"{self.apart_fwhm} widths apart; all must be positive."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Sites:
    """Where lesions go, and where nothing goes but the response is measured as well.

    Parameters
    ----------
    lesions
        Slice, row, column of each site.
    shams
        One place beside each site, ``spacing / 2`` away.

    Examples
    --------
    >>> import torch
    >>> Sites(torch.tensor([[0, 40, 40]]), torch.tensor([[0, 40, 47]])).lesions.shape
    torch.Size([1, 3])
    """

    lesions: Int[Tensor, "sites 3"]
    shams: Int[Tensor, "sites 3"]


@dataclass(frozen=True, eq=False)
class LesionResponse:
    """The responses of one method to lesions of one width.

    Parameters
    ----------
    fwhm_px
        Width [pixels].
    lesions
        Share of the peak that came back at each site; 1 is all of it.
    shams
        The same number beside each site, less what the lesion itself reaches there; 0 is perfect.

    Examples
    --------
    >>> import torch
    >>> LesionResponse(4.0, torch.tensor([0.9]), torch.tensor([0.0])).fwhm_px
    4.0
    """

    fwhm_px: float
    lesions: Float[Tensor, " sites"]
    shams: Float[Tensor, " sites"]


@dataclass(frozen=True)
class LesionRow:
    """One line of the table: mean response with its interval over sites.

    Parameters
    ----------
    method
        Name of the method.
    fwhm_px
        Width [pixels].
    lesion, sham
        Mean response [percent of the inserted peak], unit of analysis: site.

    Examples
    --------
    >>> e = Estimate(mean=85.0, ci_low=80.0, ci_high=90.0, n=25, unit_of_analysis="site")
    >>> LesionRow("cs", 4.0, e, e).lesion.mean
    85.0
    """

    method: str
    fwhm_px: float
    lesion: Estimate
    sham: Estimate


def scattered_sites(
    anatomy: ComplexImages, study: LesionStudy, *, generator: torch.Generator
) -> Sites:
    """Draw sites at random over the object, at least ``spacing_px`` apart and from its edge.

    They stand for the whole object: near the coils, where the response is high, and in the middle.

    Raises
    ------
    RefusedInputError
        The object has no room for so many.
    """
    room = inside_object(object_mask(anatomy), study.spacing_px)
    chosen = scattered(room, spacing_px=study.spacing_px, generator=generator, most=study.n_sites)
    if len(chosen) == study.n_sites:
        return _with_shams(chosen, study, generator)
    msg = (
        f"only {len(chosen)} of {study.n_sites} sites fit into the object {study.spacing_px} "
        "pixels apart; ask for fewer or a smaller spacing."
    )
    raise RefusedInputError(msg)


def central_sites(
    anatomy: ComplexImages, study: LesionStudy, *, generator: torch.Generator
) -> Sites:
    """Place a square lattice of sites, ``spacing_px`` apart, around the centre of the object.

    In the middle of the object all coils see alike, so the response is lower than over the whole
    object: the figures of the two kinds of site do not compare. The slice is the middle one.

    Raises
    ------
    RefusedInputError
        ``n_sites`` is not a square number, or the lattice leaves the object.
    """
    side = math.isqrt(study.n_sites)
    if side**2 != study.n_sites:
        msg = f"a lattice needs a square number of sites, got {study.n_sites}; 25 is usual."
        raise RefusedInputError(msg)
    middle = anatomy.shape[0] // 2
    inside = object_mask(anatomy)
    centre = inside[middle].nonzero().double().mean(0).cpu()
    offsets = (torch.arange(side) - (side - 1) / 2) * study.spacing_px
    rows, columns = torch.meshgrid(centre[0] + offsets, centre[1] + offsets, indexing="ij")
    places = torch.stack([torch.full_like(rows, middle), rows, columns], dim=-1).flatten(0, 1)
    sites = places.round().long()
    limits = torch.tensor(inside.shape[1:])
    margin = _sham_distance(study)
    if (sites[:, 1:] < margin).any() or (sites[:, 1:] >= limits - margin).any():
        msg = (
            f"a lattice of {side} x {side} sites {study.spacing_px} pixels apart, with shams "
            f"beside them, leaves the image of {tuple(inside.shape[1:])}; ask for fewer sites or "
            "a smaller spacing."
        )
        raise RefusedInputError(msg)
    return _with_shams(sites, study, generator)


def lesion_responses(
    method: Method,
    measurement: Measurement,
    anatomy: ComplexImages,
    *,
    sites: Sites,
    study: LesionStudy,
) -> tuple[LesionResponse, ...]:
    """Return the local response of a method at every site, for each width.

    ``Re((x_with - x_without)(r) exp(-i phi)) / peak`` at the site ``r`` itself, with ``phi`` the
    phase of ``anatomy`` there. Costs one reconstruction and one per width and group; the method
    must give the same image for the same samples, and its scale must be fixed.

    Parameters
    ----------
    method
        Samples to image.
    measurement
        The measured samples. With several map sets the lesion is in the first.
    anatomy
        An image of the same measurement that gives phase and intensity; the same for all methods
        that are to be compared.
    sites
        See `scattered_sites` and `central_sites`.
    study
        Contrast, widths, grouping.
    """
    without = method(measurement)
    peak = study.contrast * reference_intensity(anatomy)
    responses = []
    for fwhm in study.fwhm_px:
        lesions, shams = torch.zeros(2, len(sites.lesions), dtype=without.real.dtype).unbind()
        for group in _groups(sites.lesions, study.apart_fwhm * fwhm):
            delta = lesion_image(anatomy, sites.lesions[group], peak=peak, fwhm_px=fwhm)
            samples = measurement.samples + _in_first_set(measurement, delta)
            change = method(measurement.with_samples(samples)) - without
            lesions[group] = change_at(change, anatomy, sites.lesions[group]) / peak
            # a wide lesion reaches to its sham: only what was not inserted there counts
            shams[group] = change_at(change - delta, anatomy, sites.shams[group]) / peak
        responses.append(LesionResponse(fwhm, lesions, shams))
    return tuple(responses)


def lesion_rows(
    name: str, responses: Sequence[LesionResponse], *, generator: torch.Generator
) -> tuple[LesionRow, ...]:
    """Return the rows of a table from the responses of one method, in percent.

    The interval is over sites of one scan: it says nothing about other scans.

    Parameters
    ----------
    name
        Name of the method.
    responses
        See `lesion_responses`.
    generator
        Source of the bootstrap.
    """
    rows = []
    for response in responses:
        lesion, sham = (
            interval((100 * values).tolist(), unit="site", generator=generator)
            for values in (response.lesions, response.shams)
        )
        rows.append(LesionRow(name, response.fwhm_px, lesion, sham))
    return tuple(rows)


def _in_first_set(measurement: Measurement, delta: Tensor) -> Tensor:
    others = measurement.maps.shape[1] - 1
    sets = torch.nn.functional.pad(delta[:, None], (0, 0, 0, 0, 0, others))
    samples: Tensor = measurement.operator(sets)
    return samples


def _groups(places: Tensor, apart: float) -> list[list[int]]:
    """Divide the sites greedily so that two of one group in one slice are ``apart`` pixels away."""
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        for group in groups:
            if all(_distance(place, places[other]) >= apart for other in group):
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _distance(one: Tensor, other: Tensor) -> float:
    if one[0] != other[0]:
        return math.inf
    return float((one - other).double().norm())


def _with_shams(lesions: Tensor, study: LesionStudy, generator: torch.Generator) -> Sites:
    """Put a sham half a spacing away from each site, in one of four directions drawn for it."""
    turns = torch.randint(4, (len(lesions),), generator=generator, device=generator.device).cpu()
    steps = torch.tensor([[0, 0, 1], [0, 1, 0], [0, 0, -1], [0, -1, 0]])
    return Sites(lesions, lesions + _sham_distance(study) * steps[turns])


def _sham_distance(study: LesionStudy) -> int:
    return max(1, round(study.spacing_px / 2))
