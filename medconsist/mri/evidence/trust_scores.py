"""The scores of the trust record, with the sentence that a clinician reads beside each."""

from medconsist.mri.evidence.features import object_mask
from medconsist.mri.evidence.residual import GroupResidual
from medconsist.mri.evidence.withheld import WithheldError
from medconsist.results.trust import Score
from medconsist.shapes import ComplexImages, RealImages

__all__ = ["map_scores", "residual_score", "withheld_scores"]


def withheld_scores(errors: list[WithheldError], *, of: str = "") -> list[Score]:
    """Return three scores per draw; with several draws their names carry its number.

    Parameters
    ----------
    errors
        One per draw.
    of
        Role of the image, where it is not the one that is shown first; the names end with it.
    """
    scores = []
    about = f" This is about {of}, which is shown beside the reconstruction." if of else ""
    for number, error in enumerate(errors):
        suffix = (f"_{of}" if of else "") + ("" if len(errors) == 1 else f"_{number}")
        scores += [
            Score(
                name="withheld_error" + suffix,
                value=error.chi_square,
                unit="sigma^2",
                n=error.n,
                expectation=1.0,
                meaning=(
                    "Mean squared error on measured samples that the reconstruction did not see, "
                    "in units of the noise; 1 is the noise floor. No method can be expected below "
                    "it: a value below 1 says that the noise level was estimated too high." + about
                ),
            ),
            Score(
                name="withheld_nrmse" + suffix,
                value=error.nrmse,
                unit="1",
                n=error.n,
                expectation=error.nrmse_floor,
                meaning=(
                    "The same error as a share of the withheld signal; the expected value is what "
                    "noise alone gives." + about
                ),
            ),
            Score(
                name="withheld_noise_corrected" + suffix,
                value=error.noise_corrected,
                unit="1",
                n=error.n,
                expectation=0.0,
                meaning=(
                    "The part of the squared error on withheld samples that noise does not "
                    "explain, as a share of their energy." + about
                ),
            ),
        ]
    return scores


def residual_score(group: GroupResidual) -> Score:
    """Return ``residual`` for all samples, ``residual_coil_0``, ``residual_band_0`` for groups."""
    return Score(
        name="residual" if group.name == "all" else f"residual_{group.name}",
        value=group.chi_square,
        unit="sigma^2",
        n=group.n,
        expectation=group.expectation,
        direction="two_sided",
        meaning=(
            "Misfit to the samples beside the misfit expected of this method: far from it means a "
            "fault of coil maps, a spike or a shift. Not a quality score; never compare methods "
            "by it."
        ),
    )


def map_scores(image: ComplexImages, maps: dict[str, RealImages]) -> list[Score]:
    """Return one number of each map, over the object where the coils see it.

    The contrast is a median, the share is over the whole volume, the peak a maximum.
    """
    inside = object_mask(image) & maps["refutable_contrast"].isfinite()
    n = int(inside.sum())
    unknown = maps["not_determined"].double().square().sum() / image.abs().double().square().sum()
    strongest = maps["matched_filter"][inside].abs()
    return [
        Score(
            name="not_determined_share",
            value=float(unknown),
            unit="1",
            n=n,
            meaning=(
                "Share of the image energy that the samples alone do not fix; true anatomy lies "
                "there too, so it does not mean invented."
            ),
        ),
        Score(
            name="refutable_contrast",
            value=float(maps["refutable_contrast"][inside].median()),
            unit="reference intensity",
            n=n,
            meaning=(
                "Smallest contrast of a feature of the stated width that the samples would "
                "contradict, for the median pixel of the object; fainter ones are not checked."
            ),
        ),
        Score(
            name="matched_filter_peak",
            value=float(strongest.max()),
            unit="standard deviations",
            n=n,
            meaning=(
                "Strongest disagreement of samples and image for a feature of the stated width; "
                f"among the {n} pixels searched some reach 3 by chance."
            ),
        ),
    ]
