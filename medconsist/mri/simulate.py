"""Scans of this simulator: from anatomy to multi-coil k-space with noise.

::

    phantom -> lesions -> contrast -> phase -> coils -> k-space of a fine grid -> centre -> noise

No inverse crime: the object lives on a grid at least twice as fine as the reconstruction in each
direction, and the k-space is the centre of its spectrum, so that no method can hit the object
exactly. A method is given the samples and perhaps a noise scan, never the maps or the noise level.
These are scans of this simulator and of nobody: no measured anatomy is in the generated head.
"""

import hashlib
import importlib
import inspect
import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.kspace import KSpace
from medconsist.mri.phantom.birdcage import CoilArray
from medconsist.mri.phantom.fine_grid import FineGrid
from medconsist.mri.phantom.head import GeneratedHead
from medconsist.mri.phantom.simulated_lesions import Lesioned, add_lesions
from medconsist.mri.phantom.smooth_field import SmoothField
from medconsist.mri.phantom.tissue import FLAIR, Anatomy, Contrast
from medconsist.operators.fourier import Fourier
from medconsist.shapes import ComplexImages

__all__ = [
    "GENERATOR_MODULES",
    "Phantom",
    "ScanConfig",
    "SimulatedScan",
    "generator_hash",
    "simulate",
]

GENERATOR_MODULES = (
    "phantom.birdcage",
    "phantom.fine_grid",
    "phantom.head",
    "phantom.simulated_lesions",
    "phantom.smooth_field",
    "phantom.tissue",
    "phantom.tissue_file",
    "simulate",
)
_TRIES = 4  # of a deformation that keeps the head in a usual field of view: 1 in 80 does not
_MIDDLE_MM = 8.0  # height of the middle slice, at the bodies of the lateral ventricles


@runtime_checkable
class Phantom(Protocol):
    """Whatever fills points in space with tissue: `GeneratedHead`, `TissueFile`."""

    @property
    def name(self) -> str:
        """Origin of the anatomy, as files record it."""

    def __call__(
        self,
        points: Float[Tensor, "slices height width 3"],
        spacing_mm: float,
        generator: Generator,
    ) -> Anatomy:
        """Return the tissue shares at ``points`` [mm] (x right, y forward, z up)."""


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """What is simulated, apart from the random draws.

    Parameters
    ----------
    contrast
        Sequence; `T1W`, `T2W` and `FLAIR` are in `medconsist.mri.phantom.tissue`.
    shape
        Height and width of the reconstruction [pixels].
    n_slices
        Slices, around the bodies of the lateral ventricles.
    voxel_size_mm
        Slice, row and column spacing [mm]; the head needs about 200 x 230 mm.
    n_coils
        Receive coils.
    snr
        Mean intensity of the reference in the head over the noise of a fully sampled, whitened
        coil combination (``E|n|^2 = sigma^2``).
    oversampling
        How much finer the grid of the object is, >= 2.
    deformation_mm
        Standard deviation of the smooth deformation of each coordinate [mm].
    phase_rad
        Standard deviation of the smooth phase of the object [rad].
    lesions
        Fewest and most lesions; the number is drawn uniformly between them.
    noise_samples
        Length of the noise scan; 0 leaves it out.
    orientation
        ``"unknown"``, or ``"diagonal"`` for an affine along the axes (rows run from front to back,
        columns from the person's right to left).

    Examples
    --------
    >>> ScanConfig(shape=(96, 96), voxel_size_mm=(6.0, 2.4, 2.4)).grid.shape
    (192, 192)
    """

    contrast: Contrast = FLAIR
    shape: tuple[int, int] = (192, 192)
    n_slices: int = 3
    voxel_size_mm: tuple[float, float, float] = (6.0, 1.2, 1.2)
    n_coils: int = 8
    snr: float = 30.0
    oversampling: int = 2
    deformation_mm: float = 2.5
    phase_rad: float = 0.7
    lesions: tuple[int, int] = (0, 6)
    noise_samples: int = 8192
    orientation: Literal["unknown", "diagonal"] = "unknown"

    def __post_init__(self) -> None:
        fewest, most = self.lesions
        lengths = (*self.shape, self.n_slices, self.n_coils, *self.voxel_size_mm, self.snr)
        wrong = {
            "shape, n_slices, n_coils, voxel_size_mm and snr must be positive and finite": not all(
                0 < length < math.inf for length in lengths
            ),
            "oversampling must be at least 2 (no inverse crime)": self.oversampling < 2,
            "deformation_mm and phase_rad must not be negative": min(
                self.deformation_mm, self.phase_rad
            )
            < 0,
            "lesions must be (fewest, most) with 0 <= fewest <= most": not 0 <= fewest <= most,
            "noise_samples must be 0 or at least 2 a coil": 0
            != self.noise_samples
            < 2 * self.n_coils,
        }
        said = [sentence for sentence, is_wrong in wrong.items() if is_wrong]
        if said:
            msg = f"{'; '.join(said)}; got {self}."
            raise RefusedInputError(msg)

    @property
    def grid(self) -> FineGrid:
        """The grid that the object lives on."""
        return FineGrid(self.shape, self.oversampling)

    @property
    def field_strength_t(self) -> float:
        """Static field [T] to which the relaxation times of `TISSUES` belong."""
        return 1.5

    @property
    def affine(self) -> Float[Tensor, "4 4"] | None:
        """Column, row, slice index to right, front, up [mm]; None where it is to be unknown."""
        if self.orientation == "unknown":
            return None
        spacing, rows, columns = self.voxel_size_mm
        affine = torch.diag(torch.tensor([-columns, -rows, spacing, 1.0]))
        affine[0, 3] = columns * (self.shape[1] // 2)
        affine[1, 3] = rows * (self.shape[0] // 2)
        affine[2, 3] = _MIDDLE_MM - spacing * (self.n_slices - 1) / 2
        return affine


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A scan of this simulator with what is known about it.

    Parameters
    ----------
    kspace
        What a method may see.
    reference
        The noise-free, fully sampled image: the matched filter
        ``S^H P^-1 I / sqrt(S^H P^-1 S) * sqrt(tr P / n_coils)`` of the coil images I at
        reconstruction resolution, with the true maps S and noise covariance P where there is a
        noise scan, and P = 1 where there is none. A SENSE image of the prepared k-space has this
        magnitude, scale and shading; its phase is its maps' affair.
    lesion_mask
        Voxels of which lesions fill more than half.
    labels
        Index into `TISSUES` of the tissue that fills most of a voxel.
    head
        The head with all that is inside its outline.
    config
        Settings of the scan.
    phantom
        Origin of the anatomy.
    generator_hash
        See `generator_hash`.

    Examples
    --------
    >>> small = ScanConfig(shape=(64, 64), voxel_size_mm=(6.0, 3.75, 3.75), n_slices=1, n_coils=2)
    >>> simulate(small, torch.Generator().manual_seed(0)).reference.shape
    torch.Size([1, 64, 64])
    """

    kspace: KSpace
    reference: ComplexImages
    lesion_mask: Bool[Tensor, "slices height width"]
    labels: UInt8[Tensor, "slices height width"]
    head: Bool[Tensor, "slices height width"]
    config: ScanConfig
    phantom: str
    generator_hash: str

    def undersampled(self, mask: Bool[Tensor, "height width"]) -> "SimulatedScan":
        """Return the scan in which only samples of ``mask`` were acquired; the rest is zero."""
        acquired = self.kspace.mask & mask
        data = torch.where(acquired[:, None], self.kspace.data, 0)
        return replace(self, kspace=replace(self.kspace, data=data, mask=acquired))


def simulate(
    config: ScanConfig, generator: Generator, *, phantom: Phantom | None = None
) -> SimulatedScan:
    """Simulate one fully sampled scan; every draw comes from ``generator``, on its device.

    Anatomy, deformation, lesions, phase, coils and noise all differ from draw to draw. A head that
    the field of view cuts is drawn again, a few times.

    Parameters
    ----------
    config
        See `ScanConfig`.
    generator
        Source of randomness; the same state gives the same scan.
    phantom
        Where the anatomy comes from; by default `GeneratedHead`.

    Raises
    ------
    RefusedInputError
        If the field of view cuts every head drawn, or slices leave it.
    """
    source = phantom or GeneratedHead()
    grid = _grid(config, generator.device)
    anatomy = _anatomy(source, grid, config, generator)
    fewest, most = config.lesions
    n_lesions = int(
        torch.randint(fewest, most + 1, (), generator=generator, device=generator.device)
    )
    # a generator of their own: scans with and without lesions are equal in everything else
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    apart = Generator(device=generator.device).manual_seed(seed)
    lesioned = add_lesions(anatomy, grid, n_lesions=n_lesions, generator=apart)
    object_ = _object(lesioned.anatomy, grid, config, generator)
    coils = CoilArray.draw(config.n_coils, generator)
    clean, maps = _measure(object_, coils.maps(grid), config.grid)
    return _scan(_Clean(clean, maps, coils), lesioned, config, generator, source.name)


@cache
def generator_hash() -> str:
    """Return the sha256 over the source text of all `GENERATOR_MODULES`, config schema included.

    Any change of these files changes it, so data and networks trained on them name one generator.
    """
    digest = hashlib.sha256()
    for name in GENERATOR_MODULES:
        source = inspect.getsource(importlib.import_module(f"medconsist.mri.{name}"))
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class _Clean:
    """Noise-free k-space, true maps at reconstruction resolution, and the coils."""

    kspace: Tensor
    maps: Tensor
    coils: CoilArray


def _scan(
    clean: _Clean, lesioned: Lesioned, config: ScanConfig, generator: Generator, phantom: str
) -> SimulatedScan:
    covariance = clean.coils.covariance
    shares = config.grid.average(lesioned.anatomy.fractions)
    head = _filled(shares[0] < 0.5)
    images = Fourier().adjoint(clean.kspace)
    white = _matched_filter(images, clean.maps, covariance)
    sigma = float(white.abs()[head].mean()) / config.snr
    known = covariance if config.noise_samples else torch.eye(config.n_coils).to(covariance)
    level = math.sqrt(float(known.diagonal().real.mean()))
    noise = None
    if config.noise_samples:
        noise = sigma * _noise((1, 1, config.noise_samples), clean.coils, generator)[0, :, 0]
    data = clean.kspace + sigma * _noise((len(clean.kspace), *config.shape), clean.coils, generator)
    kspace = KSpace(
        data,
        torch.ones(1, *config.shape, dtype=torch.bool, device=data.device),
        voxel_size_mm=config.voxel_size_mm,
        affine=config.affine,
        noise=noise,
        contrast=config.contrast.name,
        field_strength_t=config.field_strength_t,
        notes=("A scan of this simulator, not of a person.",),
        source={"simulator": generator_hash()},
    )
    return SimulatedScan(
        kspace=kspace,
        reference=level * _matched_filter(images, clean.maps, known),
        lesion_mask=config.grid.average(lesioned.cover[None])[0] > 0.5,
        labels=shares.argmax(dim=0).to(torch.uint8),
        head=head,
        config=config,
        phantom=phantom,
        generator_hash=generator_hash(),
    )


def _grid(config: ScanConfig, device: torch.device) -> Float[Tensor, "slices height width 3"]:
    """Points of the fine grid [mm]; DC of the spectrum and the origin lie at n // 2."""
    steps = [size / config.oversampling for size in config.voxel_size_mm[1:]]
    y, x = (
        -(torch.arange(n, device=device) - n // 2) * step
        for n, step in zip(config.grid.shape, steps, strict=True)
    )
    middle = (config.n_slices - 1) / 2
    index = torch.arange(config.n_slices, device=device)
    z = _MIDDLE_MM + (index - middle) * config.voxel_size_mm[0]
    heights, rows, columns = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack([columns, rows, heights], dim=-1)


def _deformed(points: Tensor, config: ScanConfig, generator: Generator) -> Tensor:
    """Turn, shift and bend space, so that no two heads lie or look alike."""
    device = generator.device
    angles = torch.randn(3, generator=generator, device=device) * math.radians(3)
    a, b, c = angles.clamp(-0.1, 0.1).tolist()
    turn = torch.matrix_exp(torch.tensor([[0, -a, b], [a, 0, -c], [-b, c, 0]], device=device))
    shift = 2 * torch.randn(3, generator=generator, device=device)
    bend = torch.stack(
        [SmoothField.draw(70.0, generator).on_grid(points, 8) for _ in range(3)], dim=-1
    )
    return points @ turn.T + shift + config.deformation_mm * bend


def _object(
    anatomy: Anatomy, points: Tensor, config: ScanConfig, generator: Generator
) -> ComplexImages:
    """Signal of the tissues, with 2 % of texture and a smooth phase."""
    texture = SmoothField.draw(9.0, generator).on_grid(points, 2)
    phase = config.phase_rad * SmoothField.draw(120.0, generator).on_grid(points, 8)
    magnitude = config.contrast.image(anatomy) * (1 + 0.02 * texture)
    return torch.polar(torch.ones_like(phase), phase) * magnitude


def _measure(object_: Tensor, fine_maps: Tensor, grid: FineGrid) -> tuple[Tensor, Tensor]:
    """Return noise-free k-space, slice by slice to spare memory, and the maps at its pixels."""
    norm = torch.linalg.vector_norm(fine_maps, dim=1).mean()
    planes = [
        grid.spectrum(image * maps) / norm for image, maps in zip(object_, fine_maps, strict=True)
    ]
    return torch.stack(planes), grid.sample(fine_maps) / norm


def _matched_filter(images: Tensor, maps: Tensor, covariance: Tensor) -> ComplexImages:
    """Combine coils for the best SNR (Roemer et al. 1990), noise of unit variance per P."""
    weighted = torch.einsum("dc,schw->sdhw", torch.linalg.inv(covariance), maps)
    power = (weighted.conj() * maps).sum(dim=1).real
    combined = (weighted.conj() * images).sum(dim=1)
    return combined / power.clamp_min(torch.finfo(power.dtype).tiny).sqrt()


def _noise(shape: tuple[int, ...], coils: CoilArray, generator: Generator) -> Tensor:
    """Correlated complex noise, ``slices coils height width``."""
    slices, height, width = shape
    n_coils = len(coils.gains)
    white = torch.randn(
        slices,
        n_coils,
        height,
        width,
        dtype=torch.complex64,
        generator=generator,
        device=generator.device,
    )
    mixing = coils.gains[:, None] * coils.coupling
    return torch.einsum("dc,schw->sdhw", mixing, white)


def _filled(solid: Bool[Tensor, "slices height width"]) -> Bool[Tensor, "slices height width"]:
    """Add what is enclosed on all four sides."""
    seen = [
        torch.cummax(solid.flip(dim) if turned else solid, dim=dim).values
        for dim in (-2, -1)
        for turned in (False, True)
    ]
    down, up, right, left = seen
    return down & up.flip(-2) & right & left.flip(-1)


def _anatomy(source: Phantom, grid: Tensor, config: ScanConfig, generator: Generator) -> Anatomy:
    """Draw deformation and anatomy until the head lies inside the field of view."""
    spacing = math.sqrt(math.prod(config.voxel_size_mm[1:])) / config.oversampling
    for _ in range(_TRIES):
        anatomy = source(_deformed(grid, config, generator), spacing, generator)
        if not _is_cut(anatomy):
            return anatomy
    height, width = (
        n * size for n, size in zip(config.shape, config.voxel_size_mm[1:], strict=True)
    )
    msg = (
        f"the field of view of {height:g} x {width:g} mm cuts the head, which would fold over; "
        "take larger voxels or more of them: about 230 x 200 mm are needed."
    )
    raise RefusedInputError(msg)


def _is_cut(anatomy: Anatomy) -> bool:
    inside = anatomy.of("background") < 0.5
    edges = (inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1])
    return any(bool(edge.any()) for edge in edges)
