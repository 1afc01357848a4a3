"""Trust maps: every value at its place."""

from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.results.trust import TrustRecord
from medconsist.viewing.leaving.dicom_pm import map_pm
from medconsist.viewing.leaving.dicom_source import (
    source_of_image,
    source_of_result,
    volume_export,
)
from tests.mri.posed import SPACING, oblique, points, volume
from tests.viewing.conftest import WriteResult
from tests.viewing.leaving.imaged import Imaged, dates_of, dcmtk, imaged, read


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


def places(data: Any) -> list[tuple[float, ...]]:
    """Return the position of each frame, to a thousandth of a millimetre."""
    groups = data.PerFrameFunctionalGroupsSequence
    found = [one.PlanePositionSequence[0].ImagePositionPatient for one in groups]
    return [tuple(round(float(x), 3) for x in one) for one in found]


def test_every_value_is_where_its_voxel_is(case: Imaged, tmp_path: Path) -> None:
    left = map_pm(case.stored, "not_determined", source=case.source)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    data, image = read(left), case.source.image
    # Frames may stand in another order: each says its place.
    by_place = dict(zip(places(data), data.pixel_array, strict=True))
    expected = dict(zip(places(image), volume().numpy(), strict=True))
    assert by_place.keys() == expected.keys()
    assert all(np.array_equal(by_place[place], one) for place, one in expected.items())
    groups = (data, image)
    turned = [g.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0] for g in groups]
    assert turned[0].ImageOrientationPatient == turned[1].ImageOrientationPatient
    assert data.FrameOfReferenceUID == image.FrameOfReferenceUID


def test_highdicom_makes_a_volume_of_it(case: Imaged) -> None:
    left = map_pm(case.stored, "not_determined", source=case.source)
    found = highdicom.imread(BytesIO(left.data)).get_volume()
    index = np.argwhere(np.asarray(found.array) == volume().max().item())
    ras = found.map_indices_to_reference(index) * [-1, -1, 1]
    brightest = (volume() == volume().max()).flatten().numpy()
    wanted = points(oblique(), (3, 20, 28)).numpy()[brightest]
    ours, theirs = (np.array(sorted(map(tuple, x.round(4)))) for x in (ras, wanted))
    assert np.allclose(ours, theirs, atol=1e-3)  # mm; positions are decimal text


def test_the_file_says_what_it_is(case: Imaged) -> None:
    left = map_pm(case.stored, "not_determined", source=case.source)
    data = read(left)
    assert data.SeriesDescription.endswith("; Not determined by the da…")
    assert "Not determined by the data" in data.ContentDescription
    assert "bright does not mean invented" in data.DerivationDescription
    assert data.ContentQualification == "RESEARCH"
    assert data.ImageType[0] == "DERIVED"
    assert (data.PatientID, left.name) == ("p-7", "head-not_determined.pm.dcm")
    assert dates_of(left) == {"20261123"}  # of the result, not of the export
    assert left.data == map_pm(case.stored, "not_determined", source=case.source).data


def test_what_is_no_map_of_a_known_place_is_refused(case: Imaged, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="'cs' is no trust map; allowed: not_determined"):
        map_pm(case.stored, "cs", source=case.source)
    with pytest.raises(RefusedInputError, match="picture_sc"):
        map_pm(case.stored, "not_determined", source=source_of_result(case.result))
    unknown = imaged(tmp_path, None)
    with pytest.raises(RefusedInputError, match="is unknown"):
        map_pm(unknown.stored, "not_determined", source=unknown.source)


def test_a_place_without_a_value_is_padding(write_result: WriteResult, tmp_path: Path) -> None:
    values = np.ones((3, 48, 40), np.float32)
    values[1, 3, 4] = np.nan
    rows = tuple(tuple(row) for row in oblique().tolist())
    result = write_result(
        tmp_path,
        images={"hole": values},
        maps=(),
        fields={"trust": TrustRecord(maps=("hole",))},
        array={"orientation": rows, "spacing_mm": SPACING},
    )
    stored = ResultStore(tmp_path, "brain").read(result.case)
    source = source_of_image(volume_export(stored, to="dicom"))
    data = read(map_pm(stored, "hole", source=source))
    empty = data.pixel_array == np.float32(data.FloatPixelPaddingValue)
    assert np.argwhere(empty)[:, 1:].tolist() == [[3, 4]]
    assert (data.pixel_array[~empty] == 1).all()
