"""A trust map as a DICOM parametric map on the geometry of the image that it is about."""

from copy import copy
from typing import Any

import numpy as np
from jaxtyping import Float32

from medconsist import RESEARCH_USE_ONLY
from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_uids import derived_uid
from medconsist.results.store import StoredResult
from medconsist.review.chain import timestamp
from medconsist.viewing.leaving.dicom_heading import (
    Heading,
    as_export,
    before_heading,
    put_heading,
)
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.dicom_words import coded, long_string, unit_code
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.trust_maps import style_of

__all__ = ["map_pm"]

_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_PADDING = float(np.finfo(np.float32).min)
_LUT_LABEL = 16  # characters of SH


def map_pm(stored: StoredResult, role: str, *, source: Source) -> Export:
    """Return a trust map as float32, every value as it is; the same map gives the same bytes.

    A place without a value (NaN: no coil sees it) holds FloatPixelPaddingValue.

    Parameters
    ----------
    stored
        The result.
    role
        One of the maps that its trust record names.
    source
        With the image that the map is about, see `source_of_image`.

    Raises
    ------
    RefusedInputError
        It is no trust map, or of another grid than the image; nowhere has it a value; there is no
        image whose place in the patient is known.
    CorruptResultError
        The result is not as it was written.
    """
    result = stored.result
    if role not in result.trust.maps:
        msg = f"{role!r} is no trust map; allowed: {', '.join(result.trust.maps) or '(none)'}."
        raise RefusedInputError(msg)
    if not source.has_orientation:
        msg = "where the image lies in the patient is unknown, and a parametric map needs it. Save "
        msg += "a picture of the map (picture_sc)."
        raise RefusedInputError(msg)
    values = np.asarray(stored.array(role), dtype=np.float32)
    words = ("NumberOfFrames", "Rows", "Columns")
    grid = tuple(int(source.image[word].value) for word in words)
    finite = np.isfinite(values)
    if values.shape != grid or not finite.any():
        msg = f"map {role} of {values.shape} does not fit the image of {grid}, or has no value."
        raise RefusedInputError(msg)
    padded = np.where(finite, values, np.float32(_PADDING))
    ends = float(values[finite].min()), float(values[finite].max())
    dataset = _parametric_map(stored, role, padded, ends, source)
    if not finite.all():
        dataset.FloatPixelPaddingValue = _PADDING
    heading = Heading(
        series="maps",
        sop_class=_PARAMETRIC_MAP,
        modality="MR",
        description=style_of(role).title,
        made=timestamp(result.times.finished),
        number=1 + result.trust.maps.index(role),
    )
    put_heading(dataset, source, result, heading)
    dataset.ContentDescription = long_string(style_of(role).title)
    meaning = f"{style_of(role).meaning} {RESEARCH_USE_ONLY}"
    dataset.DerivationDescription = long_string(meaning, 1024)
    dataset.ContentCreatorName = ""
    return as_export(dataset, name=f"{result.case}-{role}.pm.dcm", what="DICOM map")


def _parametric_map(
    stored: StoredResult,
    role: str,
    values: Float32[np.ndarray, "frames height width"],
    ends: tuple[float, float],
    source: Source,
) -> Any:  # noqa: ANN401  a class of highdicom
    pm = require("highdicom.pm", extra="dicom")
    image = copy(source.image)
    image.PatientName = ""  # highdicom warns of a name of one part, which an opaque id is
    unit = stored.record(role).unit or style_of(role).unit
    mapping = pm.RealWorldValueMapping(
        lut_label=long_string(role, _LUT_LABEL),
        lut_explanation=long_string(style_of(role).title),
        unit=unit_code(unit),
        value_range=ends,
        slope=1.0,
        intercept=0.0,
        quantity_definition=coded(role, style_of(role).title),
    )
    window = require("highdicom", extra="dicom").VOILUTTransformation(
        window_center=sum(ends) / 2,
        window_width=max(ends[1] - ends[0], 1e-6),  # a window has a width, also of one value
        voi_lut_function="LINEAR_EXACT",  # the default is not defined below a width of 1
    )
    dataset = pm.ParametricMap(
        source_images=[image],
        pixel_array=values,
        **before_heading(source),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
        content_label="TRUST_MAP",
    )
    organisation = derived_uid("dimensions of map", source.image.SOPInstanceUID, role)
    for sequence in (dataset.DimensionOrganizationSequence, dataset.DimensionIndexSequence):
        for one in sequence:  # highdicom draws one, and the same map is the same bytes
            one.DimensionOrganizationUID = organisation
    return dataset
