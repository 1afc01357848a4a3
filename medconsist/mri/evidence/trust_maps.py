"""The maps of the trust record: by slabs as far as that goes, and the rest from all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medconsist.mri.evidence.determinacy import not_determined
from medconsist.mri.evidence.refutability import (
    feature_energy,
    matched_filter,
    projected_residual,
    refutable_contrast,
)
from medconsist.mri.forward import Measurement
from medconsist.mri.volumes.volume import Measured
from medconsist.shapes import Array, ComplexImages, RealImages

__all__ = ["SlabMaps", "joined_maps"]


@dataclass(frozen=True, eq=False)
class SlabMaps:
    """What some slices give without the others.

    Parameters
    ----------
    unknown
        Magnitude of `not_determined` over the map sets.
    energy
        See `feature_energy`.
    projected
        See `projected_residual`.

    Examples
    --------
    >>> zeros = torch.zeros(1, 4, 4)
    >>> SlabMaps(zeros, zeros, zeros).energy.shape
    torch.Size([1, 4, 4])
    """

    unknown: RealImages
    energy: RealImages
    projected: RealImages

    @classmethod
    def of(
        cls,
        slab: Measurement,
        sets: Array,
        image: ComplexImages,
        *,
        weight: float,
        fwhm_px: float,
    ) -> "SlabMaps":
        """Return the maps of a slab.

        Parameters
        ----------
        slab
            Samples, mask and maps.
        sets
            The image of each map set, ``slices sets height width``.
        image
            The same, combined.
        weight
            See `noise_weight`; of the volume.
        fwhm_px
            Width of the feature [pixels].
        """
        residual = slab.samples - slab.operator(sets)
        return cls(
            torch.linalg.vector_norm(not_determined(slab, sets, weight=weight), dim=1),
            feature_energy(slab, fwhm_px),
            projected_residual(slab, image, residual, fwhm_px=fwhm_px),
        )


def joined_maps(
    slabs: Sequence[SlabMaps], measurement: Measured, *, reference: float, deviations: float
) -> dict[str, RealImages]:
    """Return role to map of the volume; where no coil sees is said by all slabs together.

    Parameters
    ----------
    slabs
        From the first slice to the last.
    measurement
        Its ``sigma`` is used.
    reference, deviations
        See `refutable_contrast`.
    """
    unknown, energy, projected = (
        torch.cat([getattr(slab, name) for slab in slabs])
        for name in ("unknown", "energy", "projected")
    )
    return {
        "not_determined": unknown,
        "refutable_contrast": refutable_contrast(
            measurement, energy, reference=reference, deviations=deviations
        ),
        "matched_filter": matched_filter(measurement, projected, energy=energy),
    }
