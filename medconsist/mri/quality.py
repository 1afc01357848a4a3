"""Image quality of every reconstruction of a result beside its reference."""

from collections.abc import Mapping

from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.metrics.image import nmse, psnr, ssim
from medconsist.results.schema import Metric
from medconsist.shapes import RealImages

__all__ = ["QUALITY_UNITS", "quality_metrics"]

QUALITY_UNITS = {"ssim": "1", "psnr": "dB", "nmse": "1"}
_MEASURES = {"ssim": ssim, "psnr": psnr, "nmse": nmse}


def quality_metrics(
    images: Mapping[str, Tensor], reference: RealImages | None
) -> tuple[Metric, ...]:
    """Return SSIM, PSNR and NMSE of each image's magnitude, one value per scan.

    By fastMRI's definitions (``medconsist.metrics.image``). Empty without a reference.

    Parameters
    ----------
    images
        Role to image, ``slices height width``, complex or real.
    reference
        Magnitude of the noise-free, fully sampled image.

    Raises
    ------
    ShapeError
        The reference has another grid: readout oversampling was removed, or it is of another scan.
    """
    if reference is None:
        return ()
    for role, image in images.items():
        if image.shape != reference.shape:
            msg = (
                f"{role} has shape {tuple(image.shape)} and the reference "
                f"{tuple(reference.shape)}; allowed: one grid. Pass the reference of this scan."
            )
            raise ShapeError(msg)
    return tuple(
        Metric(
            name=name,
            value=measure(image.abs().cpu(), reference),
            unit=QUALITY_UNITS[name],
            n=1,
            unit_of_analysis="scan",
            role=role,
        )
        for role, image in images.items()
        for name, measure in _MEASURES.items()
    )
