"""The report inside DICOM: the same bytes come out again."""

from pathlib import Path

import pytest

from medconsist.errors import RefusedInputError
from medconsist.viewing.leaving.dicom_page import page_dicom
from medconsist.viewing.leaving.report import review_pdf
from tests.mri.posed import oblique
from tests.viewing.leaving.filed import draft, entry
from tests.viewing.leaving.imaged import Imaged, dcmtk, imaged, read


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


def test_dcmtk_takes_the_very_report_out_again(case: Imaged, tmp_path: Path) -> None:
    left = page_dicom(case.review(), source=case.source)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    dcmtk("dcm2pdf", left, tmp_path, out="out.pdf")
    report = review_pdf(case.review())
    # DCMTK writes the byte that makes the length even too.
    assert (tmp_path / "out.pdf").read_bytes()[: len(report.data)] == report.data
    assert read(left).EncapsulatedDocumentLength == len(report.data)
    assert (left.name, left.what) == ("head-review.pdf.dcm", "DICOM PDF")


def test_the_file_says_what_it_is_and_of_which_image(case: Imaged) -> None:
    data = read(page_dicom(case.review(), source=case.source))
    assert data.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert data.DocumentTitle == "Review report head. Research use only, not for diagnosis."
    assert data.ContentQualification == "RESEARCH"
    assert data.BurnedInAnnotation == "YES"
    assert data.VerificationFlag == "VERIFIED"
    (source,) = data.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == read(case.image).SOPInstanceUID


def test_a_draft_is_unverified(case: Imaged) -> None:
    review = case.review(thread=[entry(draft(case.subject), "v1")], links={})
    left = page_dicom(review, source=case.source)
    assert read(left).VerificationFlag == "UNVERIFIED"
    assert left.name == "head-review-draft.pdf.dcm"


def test_the_same_review_is_the_same_bytes(case: Imaged) -> None:
    one, two = (page_dicom(case.review(), source=case.source) for _ in range(2))
    assert one.data == two.data


def test_what_no_report_holds_is_refused(case: Imaged) -> None:
    with pytest.raises(RefusedInputError, match="there is no verdict v9"):
        page_dicom(case.review(entry="v9"), source=case.source)
