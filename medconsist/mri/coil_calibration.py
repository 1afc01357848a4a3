"""What the calibration region of a scan says of its coils: which virtual ones, and their maps."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import CalibrationError, RefusedInputError, ShapeError
from medconsist.mri.acs import CalibrationRegion
from medconsist.mri.coil_compression import CoilCombinations, along_readout
from medconsist.mri.espirit import EspiritConfig, EspiritMaps, espirit
from medconsist.mri.kspace import KSpace
from medconsist.mri.volumes.overwrite import Slabs
from medconsist.shapes import CoilMaps

__all__ = ["CoilCalibration", "EspiritOfSlabs"]


@dataclass(frozen=True, eq=False)
class CoilCalibration:
    """The calibration of a scan: it serves every echo of the same coils, grid and table position.

    Parameters
    ----------
    block
        Samples of the region, of virtual coils if there are any, in the units of the file.
    region
        Where they lie.
    used
        True where samples had a part in maps or virtual coils. The frames that these serve withhold
        none there either, so that their errors compare.
    shape
        Height and width of the scan.
    combinations
        Of the coils; None keeps all as they are.
    origin
        Whose calibration it is, where that is not the scan itself, e.g. ``" of frame 0"``.

    Examples
    --------
    >>> from medconsist.mri.acs import find_acs
    >>> data = torch.ones(1, 2, 16, 16, dtype=torch.complex64)
    >>> scan = KSpace(data, torch.ones(1, 16, 16, dtype=torch.bool))
    >>> CoilCalibration.of(scan, find_acs(scan.mask).limited(8))[1].block.shape
    torch.Size([1, 2, 8, 8])
    """

    block: Complex[Tensor, "slices coils rows columns"]
    region: CalibrationRegion
    used: Bool[Tensor, "height width"]
    shape: tuple[int, int]
    combinations: CoilCombinations | None = None
    origin: str = ""

    @classmethod
    def of(
        cls,
        kspace: KSpace,
        region: CalibrationRegion,
        *,
        compress_to: int | None = None,
        slabs: Slabs | None = None,
    ) -> tuple[KSpace, "CoilCalibration"]:
        """Return k-space of the virtual coils, and the calibration.

        Parameters
        ----------
        kspace
            Whitened if there is a noise scan.
        region
            See `find_acs`.
        compress_to
            Number of virtual coils; None keeps all.
        slabs
            Overwrite the samples slab by slab; None makes new ones.
        """
        used = torch.zeros_like(kspace.mask[0])
        used[region.rows, region.columns] = True
        combinations = None
        if compress_to is not None:
            used = along_readout(kspace, used)
            combinations = CoilCombinations.of(kspace, compress_to, calibration=used, slabs=slabs)
            kspace, _ = combinations.compress(kspace, slabs)
        height, width = kspace.data.shape[-2:]
        block = region.extract(kspace.data).clone()
        return kspace, cls(block, region, used, (height, width), combinations)

    def combine_coils_of(self, kspace: KSpace, slabs: Slabs | None = None) -> KSpace:
        """Return another scan of the same coils, with these virtual ones.

        ``slabs`` overwrites its samples slab by slab; None makes new ones.

        Raises
        ------
        ShapeError
            Slices, coils or grid differ.
        RefusedInputError
            The virtual coils vary along a readout that is not complete in the other scan.
        """
        slices, coils, *plane = kspace.data.shape
        mine = self.block.shape[1]
        if self.combinations is not None:
            mine = self.combinations.matrices.shape[-1]
        if (slices, coils, *plane) != (len(self.block), mine, *self.shape):
            msg = (
                f"k-space of shape {tuple(kspace.data.shape)} takes its coil maps from a "
                f"calibration of shape {(len(self.block), mine, *self.shape)}; allowed: the same. "
                "Let each frame make its own maps."
            )
            raise ShapeError(msg)
        if self.combinations is None:
            return kspace
        if not self.combinations.fit(kspace.mask):
            msg = (
                f"virtual coils{self.origin} vary along a readout ({self.combinations.readout}) "
                "that is not complete in this frame, where they would mix samples with gaps. Let "
                "each frame make its own (--maps-frame own), or keep all coils (no --coils)."
            )
            raise RefusedInputError(msg)
        return self.combinations.compress(kspace, slabs)[0]

    @property
    def note(self) -> str:
        """What was done, as a sentence."""
        rows, columns = self.region.shape
        return (
            f"Coil maps by ESPIRiT from a calibration region of {rows} x {columns} samples"
            f"{self.origin}."
        )


class EspiritOfSlabs:
    """Coil maps of some slices at a time; slices without any are refused, all of them in the end.

    Parameters
    ----------
    calibration
        Of the volume.
    config
        See `EspiritConfig`.

    Examples
    --------
    >>> block = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
    >>> one = CoilCalibration(block, CalibrationRegion(slice(0, 16), slice(0, 16)),
    ...                       torch.ones(16, 16, dtype=torch.bool), (16, 16))
    >>> EspiritOfSlabs(one, EspiritConfig(crop=0.0)).maps_of(slice(0, 1)).shape
    torch.Size([1, 1, 2, 16, 16])
    """

    def __init__(self, calibration: CoilCalibration, config: EspiritConfig) -> None:
        self._calibration, self._config = calibration, config
        self._empty: list[int] = []
        self._largest = 0.0

    def maps_of(self, at: slice, device: torch.device | str = "cpu") -> CoilMaps:
        """Return the maps of these slices, computed on a device."""
        about = self._calibration
        found = espirit(about.block[at].to(device), about.shape, config=self._config)
        self._count(found, at.start)
        return found.maps

    def refuse_empty(self) -> None:
        """Refuse the slices without maps, of all that were asked for.

        Raises
        ------
        CalibrationError
            Names them.
        """
        if not self._empty:
            return
        rows, columns = self._calibration.region.shape
        msg = (
            f"ESPIRiT found no coil maps in slices {self._empty}: from a calibration region of "
            f"{rows} x {columns} samples the largest eigenvalue is {self._largest:.2g}, and more "
            f"than {self._config.crop:g} is needed. The region is too small or too noisy: pass "
            "maps with --maps FILE, or reconstruct without maps: --method zerofilled --combine rss."
        )
        raise CalibrationError(msg)

    def _count(self, found: EspiritMaps, first: int) -> None:
        empty = (~found.maps.flatten(1).any(1)).nonzero().flatten().tolist()
        if empty:
            self._empty += [first + number for number in empty]
            self._largest = max(self._largest, float(found.eigenvalues[empty].max()))
