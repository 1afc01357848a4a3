"""The ISMRMRD XML header (also in fastMRI files): geometry and field strength, nothing personal."""

import math
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from medconsist.errors import UnsafeFileError

__all__ = ["LONGEST_MATRIX", "IsmrmrdHeader", "asked_matrix", "parse_ismrmrd_header"]

LONGEST_MATRIX = 2**31
"""Points along an axis that no header means: the number is damaged, and taken as not given."""
_SAME_SPACING = 0.01  # headers round fields of view to whole millimetres
_SPACE = "{http://www.ismrm.org/ISMRMRD}"


@dataclass(frozen=True)
class IsmrmrdHeader:
    """The parts of the header that a reader uses; what is absent or not positive is None.

    Axis x is the readout (height of fastMRI k-space), y the phase encoding (width), z the slices.

    Examples
    --------
    >>> IsmrmrdHeader().field_strength_t is None
    True
    """

    encoded_matrix: tuple[int | None, int | None, int | None] = (None, None, None)
    encoded_fov_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    recon_matrix: tuple[int | None, int | None, int | None] = (None, None, None)
    recon_fov_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    line_centre: int | None = None
    """Index of the phase-encoding line through the centre of k-space."""
    line_maximum: int | None = None
    """Index of the last phase-encoding line."""
    partition_centre: int | None = None
    """Index of the partition (second phase encoding) through the centre of k-space."""
    trajectory: str | None = None
    calibration_mode: str | None = None
    """How calibration lines of parallel imaging relate to the image, e.g. ``"embedded"``."""
    field_strength_t: float | None = None
    noise_bandwidth: float | None = None
    """Noise power of the noise scan as a share of that of a flat receiver, 0.1 to 1."""


def parse_ismrmrd_header(text: str) -> IsmrmrdHeader | None:
    """Return the header, or None if the text is no well-formed XML.

    Raises
    ------
    UnsafeFileError
        If it declares a document type or an entity: the way to expansion bombs and foreign files.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        msg = (
            "the ISMRMRD header declares a document type or an entity, which no scanner writes "
            "and which can expand without bound; remove the declaration."
        )
        raise UnsafeFileError(msg)
    try:
        root = ET.fromstring(text)  # noqa: S314  no DOCTYPE, so no entity to expand
    except (ET.ParseError, ValueError):
        return None
    encoding = f"{_SPACE}encoding"
    encoded, recon = f"{encoding}/{_SPACE}encodedSpace", f"{encoding}/{_SPACE}reconSpace"
    limits = f"{encoding}/{_SPACE}encodingLimits/{_SPACE}kspace_encoding_step"
    parallel = f"{encoding}/{_SPACE}parallelImaging"
    system = f"{_SPACE}acquisitionSystemInformation"
    return IsmrmrdHeader(
        encoded_matrix=_triple_int(root, f"{encoded}/{_SPACE}matrixSize"),
        encoded_fov_mm=_triple(root, f"{encoded}/{_SPACE}fieldOfView_mm"),
        recon_matrix=_triple_int(root, f"{recon}/{_SPACE}matrixSize"),
        recon_fov_mm=_triple(root, f"{recon}/{_SPACE}fieldOfView_mm"),
        line_centre=_whole(_number(root, f"{limits}_1/{_SPACE}center")),
        line_maximum=_whole(_number(root, f"{limits}_1/{_SPACE}maximum")),
        partition_centre=_whole(_number(root, f"{limits}_2/{_SPACE}center")),
        trajectory=_word(root, f"{encoding}/{_SPACE}trajectory"),
        calibration_mode=_word(root, f"{parallel}/{_SPACE}calibrationMode"),
        field_strength_t=_positive(_number(root, f"{system}/{_SPACE}systemFieldStrength_T")),
        noise_bandwidth=_share(_number(root, f"{system}/{_SPACE}relativeReceiverNoiseBandwidth")),
    )


def asked_matrix(header: IsmrmrdHeader) -> tuple[int | None, int | None, int | None]:
    """Return the points to keep along x, y, z, where the image's voxel is that of k-space."""
    x, y, z = (
        recon if encoded is not None and wanted is not None and _same(encoded, wanted) else None
        for recon, encoded, wanted in zip(
            header.recon_matrix,
            map(_spacing, header.encoded_fov_mm, header.encoded_matrix),
            map(_spacing, header.recon_fov_mm, header.recon_matrix),
            strict=True,
        )
    )
    return x, y, z


def _spacing(fov_mm: float | None, points: int | None) -> float | None:
    return fov_mm / points if fov_mm is not None and points is not None else None


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= _SAME_SPACING * first


def _word(root: ET.Element, where: str) -> str | None:
    text = root.findtext(where)
    return text.strip().lower()[:40] if text and text.strip() else None


def _number(root: ET.Element, where: str) -> float | None:
    text = root.findtext(where)
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _share(value: float | None) -> float | None:
    return value if value is not None and 0.1 <= value <= 1 else None


def _whole(value: float | None) -> int | None:
    whole = value is not None and 0 <= value < LONGEST_MATRIX and value.is_integer()
    return int(value) if whole and value is not None else None


def _triple(root: ET.Element, where: str) -> tuple[float | None, float | None, float | None]:
    x, y, z = (_positive(_number(root, f"{where}/{_SPACE}{axis}")) for axis in "xyz")
    return x, y, z


def _triple_int(root: ET.Element, where: str) -> tuple[int | None, int | None, int | None]:
    x, y, z = (_whole(value) or None for value in _triple(root, where))
    return x, y, z
