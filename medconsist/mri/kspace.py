"""One container for Cartesian multi-coil k-space, whatever file it came from."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.shapes import CoilKSpace, NoiseSamples, SamplingMask

__all__ = ["KSpace"]


@dataclass(frozen=True, eq=False)
class KSpace:
    """Cartesian multi-coil k-space of one volume: slices in image space, planes in k-space.

    ``data`` is complex64, centred (DC at ``n // 2`` of both plane axes) and zero where ``mask`` is
    False. Whatever the file does not say is None: unknown is carried on, never filled in.

    Parameters
    ----------
    data
        Samples, ``slices coils height width``, in the units of the scanner.
    mask
        True where a sample was acquired, ``slices height width`` or ``1 height width``.
    voxel_size_mm
        Slice spacing, row spacing, column spacing [mm]; a single entry may be None.
    affine
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior.
    noise
        Noise-only samples, ``coils samples``, in the units of ``data``.
    contrast
        E.g. ``"T1w"``, as the file says it.
    field_strength_t
        Static field [T].
    notes
        What was inferred on reading, as sentences for the person who reads the result.
    source
        Name and sha256 of the file or files read.
    patient
        Id of the patient, as the file says it and if it is a safe id; None as a rule.
    recon_matrix
        Height and width that the header asks images to have at this voxel size, each None where
        unknown; larger k-space is oversampled.

    Raises
    ------
    ShapeError
        If the mask or the noise does not fit the data.

    Examples
    --------
    >>> import torch
    >>> samples = torch.ones(1, 2, 4, 6, dtype=torch.complex64)
    >>> KSpace(samples, torch.ones(1, 4, 6, dtype=torch.bool)).acceleration
    1.0
    """

    data: CoilKSpace
    mask: SamplingMask
    voxel_size_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    affine: Float[Tensor, "4 4"] | None = None
    noise: NoiseSamples | None = None
    contrast: str | None = None
    field_strength_t: float | None = None
    notes: tuple[str, ...] = ()
    source: dict[str, str] = field(default_factory=dict)
    recon_matrix: tuple[int | None, int | None] = (None, None)
    patient: str | None = None

    def __post_init__(self) -> None:
        slices, coils, height, width = self.data.shape
        if self.mask.shape[0] not in (1, slices) or self.mask.shape[1:] != (height, width):
            msg = (
                f"mask of shape {tuple(self.mask.shape)} does not fit k-space of shape "
                f"{tuple(self.data.shape)}; allowed: ({slices} or 1, {height}, {width})."
            )
            raise ShapeError(msg)
        if self.noise is not None and self.noise.shape[0] != coils:
            msg = (
                f"the noise scan has {self.noise.shape[0]} coils and k-space {coils}; allowed: the "
                "same coils in the same order. Pass the noise scan of this acquisition."
            )
            raise ShapeError(msg)

    @property
    def acceleration(self) -> float:
        """Number of k-space positions over number of acquired ones."""
        return self.mask.numel() / max(int(self.mask.sum()), 1)

    def to(self, device: torch.device | str) -> "KSpace":
        """Return a copy with data, mask and noise on ``device``."""
        noise = None if self.noise is None else self.noise.to(device)
        return replace(self, data=self.data.to(device), mask=self.mask.to(device), noise=noise)

    def with_note(self, sentence: str) -> "KSpace":
        """Return a copy with one more note."""
        return replace(self, notes=(*self.notes, sentence))
