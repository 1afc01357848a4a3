"""Where the positives are within a unit: areas per bag, and detections against lesions (FROC)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate, interval
from medconsist.metrics.resampling import Resampling, Units, bootstrap

__all__ = [
    "FALSE_POSITIVE_RATES",
    "Findings",
    "FrocCurve",
    "areas_by_bag",
    "findings",
    "froc",
    "froc_interval",
    "instance_auc",
]

FALSE_POSITIVE_RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Mean false positives per image at which CAMELYON16 averages the sensitivity."""


def areas_by_bag(
    score: Float[Tensor, " instances"],
    positive: Bool[Tensor, " instances"],
    bag: Int64[Tensor, " instances"],
    *,
    unit: str = "bag",
) -> dict[int, float]:
    """Return the area under the ROC curve within each bag that has instances of both kinds.

    Scores of different bags are never compared, so that a bag is one unit of analysis and a model
    gains nothing by telling bags apart.

    Parameters
    ----------
    score
        More is more positive; finite.
    positive
        The truth of each instance.
    bag
        Number of the bag of each instance.
    unit
        What the message calls a bag.

    Raises
    ------
    RefusedInputError
        No bag has both kinds, or a score is not finite.

    Examples
    --------
    >>> import torch
    >>> bag, positive = torch.tensor([4, 4, 5]), torch.tensor([True, False, False])
    >>> areas_by_bag(torch.tensor([0.9, 0.2, 0.5]), positive, bag)
    {4: 1.0}
    """
    if not bool(score.isfinite().all()):
        msg = "scores hold NaN or infinity, which have no rank. Look at what made them."
        raise RefusedInputError(msg)
    areas: dict[int, float] = {}
    for number in torch.unique(bag).tolist():
        here = bag == number
        if 0 < int(positive[here].sum()) < int(here.sum()):
            areas[number] = area_under_roc(score[here], positive[here])
    if not areas:
        msg = f"no {unit} has instances of both kinds, so none has an area. Add some that have."
        raise RefusedInputError(msg)
    return areas


def instance_auc(
    score: Float[Tensor, " instances"],
    positive: Bool[Tensor, " instances"],
    bag: Int64[Tensor, " instances"],
    *,
    unit: str,
    generator: Generator,
    owner: Mapping[int, int] | None = None,
) -> Estimate:
    """Return the mean over bags of `areas_by_bag`, with an interval over bags.

    Each bag counts once, however many instances it has; ``note`` says how many bags were left out
    because all their instances are of one kind.

    Parameters
    ----------
    score, positive, bag
        As in `areas_by_bag`.
    unit
        What a bag, or its owner, is, e.g. ``"slide"``.
    generator
        Source of the resampling.
    owner
        Unit of each bag number where a unit has several bags: their areas are averaged first, and
        the owners are the units. None: a bag is a unit.

    Raises
    ------
    RefusedInputError
        A bag without an owner, no bag with both kinds, or a score that is not finite.
    """
    areas = areas_by_bag(score, positive, bag)
    lost = sorted(set(areas) - set(areas if owner is None else owner))
    if lost:
        msg = f"bags {lost} have no owner. Name the unit of each bag."
        raise RefusedInputError(msg)
    of_unit: dict[int, list[float]] = {}
    for number, area in areas.items():
        of_unit.setdefault(number if owner is None else owner[number], []).append(area)
    means = [math.fsum(values) / len(values) for values in of_unit.values()]
    mean = interval(means, unit=unit, generator=generator)
    left_out = len(torch.unique(bag)) - len(areas)
    if not left_out:
        return mean
    said = f"{left_out} of {left_out + len(areas)} bags left out, instances of one kind only"
    return replace(mean, note=f"{mean.note}; {said}" if mean.note else said)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was detected on one image.

    Parameters
    ----------
    hits
        For each lesion the highest confidence of a detection on it, None for a missed lesion.
    false_positives
        Confidence of each detection on no lesion.
    ignored
        Lesions that count neither way (CAMELYON16: isolated tumour cells); detections on them are
        in neither list.

    Raises
    ------
    RefusedInputError
        A confidence that is not finite.

    Examples
    --------
    >>> Findings(hits=(0.9, None), false_positives=(0.3, 0.2)).ignored
    0
    """

    hits: tuple[float | None, ...]
    false_positives: tuple[float, ...]
    ignored: int = 0

    def __post_init__(self) -> None:
        said = [*self.false_positives, *(hit for hit in self.hits if hit is not None)]
        if not all(map(math.isfinite, said)):
            msg = "a detection has a confidence that is not finite. Look at what made it."
            raise RefusedInputError(msg)


def findings(
    places: Int64[Tensor, "detections 2"],
    confidence: Float[Tensor, " detections"],
    lesions: Int64[Tensor, "height width"],
    *,
    ignored: Sequence[int] = (),
) -> Findings:
    """Return which lesions were hit and which detections hit none, on one image.

    A detection hits the lesion whose label lies at its place. Of several on a lesion the most
    confident counts, and the others are neither hits nor false positives.

    Parameters
    ----------
    places
        Row and column of each detection in the label image.
    confidence
        Of each detection; finite.
    lesions
        0 for no lesion, 1 to L for lesions; CAMELYON16 labels the annotation grown by 37.5 um,
        holes filled.
    ignored
        Labels of lesions that count neither way.

    Raises
    ------
    RefusedInputError
        A place outside the image, a negative label, or a confidence that is not finite.

    References
    ----------
    B. Ehteshami Bejnordi et al., JAMA 318 (2017) 2199, doi:10.1001/jama.2017.14585;
    `Evaluation_FROC.py` of computationalpathologygroup/Camelyon16.
    """
    size = torch.tensor(lesions.shape, device=places.device)
    if not bool(((places >= 0) & (places < size)).all()) or int(lesions.min()) < 0:
        msg = (
            f"a detection lies outside the image of {tuple(lesions.shape)}, or a label is negative."
            " Give (row, column) in pixels of the label image, and labels from 0."
        )
        raise RefusedInputError(msg)
    struck = lesions[places[:, 0], places[:, 1]].tolist()
    said = confidence.double().tolist()
    present = set(torch.unique(lesions).tolist()) - {0}
    best: dict[int, float] = {}
    for label, value in zip(struck, said, strict=True):
        best[label] = max(value, best.get(label, -math.inf))
    return Findings(
        hits=tuple(best.get(label) for label in sorted(present - set(ignored))),
        false_positives=tuple(v for label, v in zip(struck, said, strict=True) if label == 0),
        ignored=len(present & set(ignored)),
    )


@dataclass(frozen=True, kw_only=True)
class FrocCurve:
    """Sensitivity over all lesions against mean false positives per image.

    Parameters
    ----------
    false_positives
        Per image, ascending from 0; one entry per threshold, highest threshold first.
    sensitivity
        Share of all lesions hit at that threshold, ascending from 0.
    images, lesions
        How many there are.

    Examples
    --------
    >>> curve = froc([Findings(hits=(0.9, None), false_positives=(0.3,))])
    >>> curve.sensitivity, curve.false_positives, curve.score()
    ((0.0, 0.5, 0.5), (0.0, 0.0, 1.0), 0.5)
    """

    false_positives: tuple[float, ...]
    sensitivity: tuple[float, ...]
    images: int
    lesions: int

    def score(self, rates: tuple[float, ...] = FALSE_POSITIVE_RATES) -> float:
        """Return the mean sensitivity at these rates of false positives per image.

        Between two points of the curve it is interpolated linearly; beyond the last point, where
        no detection is left to add, it stays.
        """
        return _score(np.asarray(self.false_positives), np.asarray(self.sensitivity), rates)


def froc(images: Sequence[Findings], *, released: bool = False) -> FrocCurve:
    """Return the free-response ROC curve over the distinct confidences of all detections.

    Parameters
    ----------
    images
        One per image, those without lesions included.
    released
        True follows the challenge's released code, which gives a missed or ignored lesion the
        confidence 0 and skips the lowest confidence as a threshold: where every lesion is hit
        and none ignored, it loses the last point of the curve.

    Raises
    ------
    RefusedInputError
        No image, no lesion at all, or ``released`` with a confidence that is not positive.
    """
    if not images or not any(image.hits for image in images):
        msg = f"got {len(images)} images without a lesion; sensitivity needs one or more."
        raise RefusedInputError(msg)
    wrong = np.array([said for image in images for said in image.false_positives], dtype=float)
    hits = np.array([h for image in images for h in image.hits if h is not None], dtype=float)
    lesions = sum(len(image.hits) for image in images)
    thresholds = np.unique(np.concatenate([wrong, hits]))[::-1]
    if released:
        if len(thresholds) and thresholds[-1] <= 0:
            msg = f"released needs confidences above 0, got {thresholds[-1]:g}; it means missed."
            raise RefusedInputError(msg)
        if len(hits) == lesions and not any(image.ignored for image in images):
            thresholds = thresholds[:-1]
    rates, found = _curve(wrong, hits, thresholds)
    return FrocCurve(
        false_positives=tuple((rates / len(images)).tolist()),
        sensitivity=tuple((found / lesions).tolist()),
        images=len(images),
        lesions=lesions,
    )


def froc_interval(
    images: Sequence[Findings],
    *,
    unit: str,
    generator: Generator,
    plan: Resampling | None = None,
) -> Estimate:
    """Return the score of `froc` with a bootstrap interval over images.

    Images with and without lesions are drawn separately, as many of each as there are; a drawn
    image brings all its lesions. `Resampling` says how.
    """
    froc(images)
    number = torch.arange(len(images))
    diseased = torch.tensor([int(bool(image.hits)) for image in images])
    return bootstrap(
        lambda rows: froc([images[i] for i in rows.tolist()]).score(),
        Units(of_row=number, name=unit, stratum=diseased),
        generator=generator,
        plan=plan,
    )


def _curve(
    wrong: NDArray[np.float64], hits: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = [
        len(values) - np.searchsorted(np.sort(values), thresholds, side="left")
        for values in (wrong, hits)
    ]
    rates, found = (np.concatenate([[0.0], count]) for count in counts)
    return rates, found


def _score(
    rates: NDArray[np.float64], sensitivity: NDArray[np.float64], at: tuple[float, ...]
) -> float:
    # Of thresholds with as many false positives the lowest finds most; np.interp takes the last.
    return float(np.mean(np.interp(at, rates, sensitivity)))
