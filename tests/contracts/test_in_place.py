"""An asymmetric phantom through every reader, method and writer: nothing is moved or rescaled."""

import io
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medconsist.cli import main
from medconsist.mri.coil_compression import CoilCombinations
from medconsist.mri.kspace import KSpace
from medconsist.mri.prepare import prepare
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.picture import encode_png
from medconsist.viewing.windowing import Window, magnitude, percentile_window, to_uint8
from tests.mri.asymmetric import asymmetric_image, asymmetric_kspace
from tests.mri.conftest import WRITERS

SLICES, COILS, HEIGHT, WIDTH = 2, 3, 36, 50
METHODS = {
    "zerofilled": ("--method", "zerofilled"),
    "rss": ("--method", "zerofilled", "--combine", "rss"),
    "cgsense": ("--method", "cgsense"),
    "cs wavelet": ("--method", "cs"),
    "cs tv": ("--method", "cs", "--regulariser", "tv"),
}
IN_PLACE = 0.99  # correlation; the regularised methods smooth edges a little
ELSEWHERE = 0.93  # a shift by one pixel moves the edges of the L alone
SCALE = 0.02  # relative; the penalty of compressed sensing takes about 1 %


def phantom() -> np.ndarray:
    """Return the magnitude that every method should give, ``slices height width``."""
    slices = torch.arange(1, SLICES + 1)[:, None, None]
    return (slices * asymmetric_image(HEIGHT, WIDTH)).numpy()


def samples() -> Tensor:
    """Return its k-space, fully sampled, with noise of about 1 % of the strongest pixel."""
    generator = torch.Generator().manual_seed(11)
    clean = asymmetric_kspace(SLICES, COILS, HEIGHT, WIDTH)
    return clean + 0.02 * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)


def on_canvas(image: np.ndarray) -> np.ndarray:
    """Return ``slices height width`` on square planes, so that transposed images compare."""
    side = max(image.shape[1:])
    canvas = np.zeros((len(image), side, side))
    canvas[:, : image.shape[1], : image.shape[2]] = image
    return canvas


def misplacements(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the 7 flips and transpositions, the 8 shifts by a pixel, and the slices reversed."""
    for transposed in (False, True):
        turned = image.swapaxes(1, 2) if transposed else image
        for flips in ((), (1,), (2,), (1, 2)):
            if transposed or flips:
                yield f"transposed {transposed}, flipped {flips}", np.flip(turned, flips)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            if rows or columns:
                yield f"shifted {rows} {columns}", np.roll(image, (rows, columns), (1, 2))
    yield "slices reversed", image[::-1]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(on_canvas(a).ravel(), on_canvas(b).ravel())[0, 1])


def assert_in_place(image: np.ndarray, *, scale: float = 1.0) -> None:
    """Check shape, place and scale of a magnitude image against the phantom."""
    truth = phantom()
    assert image.shape == truth.shape
    assert correlation(image, truth) > IN_PLACE
    for name, moved in misplacements(image):
        assert correlation(moved, truth) < ELSEWHERE, name
    gain = float((image * truth).sum() / (truth * truth).sum())
    assert gain == pytest.approx(scale, rel=SCALE)


def reconstruct(path: Path, *options: str) -> StoredResult:
    """Run the command on a file and return its result."""
    out = path.parent / "out"
    words = ["mri", "reconstruct", str(path), "--out", str(out), "--case", "phantom", *options]
    assert main(words) == 0
    return ResultStore(out, "mri").read("phantom")


def nifti_of(stored: StoredResult) -> nibabel.Nifti1Image:
    """Return the NIfTI file of a result as another program opens it."""
    image = nibabel.load(stored.file("reconstruction_nifti"))
    assert isinstance(image, nibabel.Nifti1Image)
    return image


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reader", WRITERS)
def test_phantom_stays_in_place_from_the_file_to_the_arrays_and_nifti(
    reader: str, method: str, tmp_path: Path
) -> None:
    path = WRITERS[reader](tmp_path / "scan", samples())

    stored = reconstruct(path, *METHODS[method])

    image = np.abs(stored.array("reconstruction"))
    assert_in_place(image)
    voxels = np.asarray(nifti_of(stored).dataobj)
    assert voxels.shape == (WIDTH, HEIGHT, SLICES)
    assert_in_place(voxels.transpose(2, 1, 0))
    # NumPy and torch round the magnitude of a complex number differently in the last bit.
    np.testing.assert_allclose(voxels.transpose(2, 1, 0), image, rtol=1e-6)


@pytest.mark.parametrize("reader", WRITERS)
def test_every_role_of_a_result_is_in_place(reader: str, tmp_path: Path) -> None:
    stored = reconstruct(WRITERS[reader](tmp_path / "scan", samples()), "--method", "cs")
    for role in ("reconstruction", "zerofilled", "cgsense"):
        assert_in_place(np.abs(stored.array(role)))
        assert stored.record(role).axes == ("slices", "height", "width")
    for role in ("not_determined", "refutable_contrast", "matched_filter"):
        assert stored.array(role).shape == (SLICES, HEIGHT, WIDTH)


@pytest.mark.parametrize("reader", WRITERS)
def test_sampling_mask_lies_in_the_result_as_it_was_acquired(reader: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(HEIGHT, WIDTH, generator=generator) < 0.8
    mask[:10] &= torch.rand(10, WIDTH, generator=generator) < 0.5  # more below than above
    mask[HEIGHT // 2 - 8 : HEIGHT // 2 + 8, WIDTH // 2 - 8 : WIDTH // 2 + 8] = True

    stored = reconstruct(WRITERS[reader](tmp_path / "scan", samples() * mask))

    np.testing.assert_array_equal(stored.array("sampling_mask"), mask[None].numpy())
    image = np.abs(stored.array("reconstruction"))
    assert correlation(image, phantom()) > 0.97  # a fifth of the samples is missing
    assert all(correlation(moved, phantom()) < ELSEWHERE for _, moved in misplacements(image))


@pytest.mark.parametrize("factor", [1e-6, 1e3])
def test_units_of_the_file_are_kept(factor: float, tmp_path: Path) -> None:
    path = WRITERS["npy"](tmp_path / "scan", factor * samples())
    image = np.abs(reconstruct(path, "--method", "cs").array("reconstruction"))
    assert_in_place(image, scale=factor)


@pytest.mark.parametrize("axis", [-2, -1])
def test_file_with_its_centre_in_the_corner_gives_the_phantom_in_place(
    axis: int, tmp_path: Path
) -> None:
    path = WRITERS["npy"](tmp_path / "scan", torch.fft.ifftshift(samples(), dim=axis))
    stored = reconstruct(path, "--method", "cgsense")
    assert_in_place(np.abs(stored.array("reconstruction")))


def test_picture_shows_row_0_on_top_and_column_0_left(tmp_path: Path) -> None:
    stored = reconstruct(WRITERS["npy"](tmp_path / "scan", samples()), "--method", "cgsense")
    image = magnitude(stored.array("reconstruction"))
    strongest = float(image.max())
    window = Window(level=strongest / 2, width=strongest)

    shown = [to_uint8(plane, window) for plane in image]
    drawn = np.stack([np.asarray(Image.open(io.BytesIO(encode_png(grey)))) for grey in shown])

    np.testing.assert_array_equal(drawn, np.stack(shown))
    assert_in_place(drawn * (strongest / 255))


def test_one_window_for_all_slices_keeps_their_ratio(tmp_path: Path) -> None:
    stored = reconstruct(WRITERS["npy"](tmp_path / "scan", samples()), "--method", "cgsense")
    image = magnitude(stored.array("reconstruction"))
    full = percentile_window([image], percentiles=(0.0, 100.0))
    means = [float(to_uint8(plane, full).mean()) for plane in image]
    assert means[1] == pytest.approx(2 * means[0], rel=0.05)  # 8 bits and noise under the window


@pytest.mark.parametrize("reader", WRITERS)
def test_unknown_orientation_stays_unknown(reader: str, tmp_path: Path) -> None:
    path = WRITERS[reader](tmp_path / "scan", samples())

    stored = reconstruct(path, "--method", "zerofilled", "--combine", "rss")

    for role in ("reconstruction", "reconstruction_nifti"):
        record = stored.record(role)
        assert record.orientation is None
        assert record.spacing_mm in (None, (None, None, None))
    header = nifti_of(stored).header
    assert int(header["qform_code"]) == int(header["sform_code"]) == 0
    assert int(header["xyzt_units"]) == 0  # the code of unknown


def test_known_orientation_is_carried_through_preparation_and_compression() -> None:
    affine = torch.tensor([[0.0, -2, 0, 9], [-1.5, 0, 0, 8], [0, 0, 4, 7], [0, 0, 0, 1]])
    mask = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    kspace = KSpace(samples(), mask, voxel_size_mm=(4.0, 2.0, 1.5), affine=affine)

    compressed, _ = CoilCombinations.of(kspace, 2).compress(kspace)
    for ready in (prepare(kspace).kspace, compressed):
        assert ready.affine is not None
        assert torch.equal(ready.affine, affine)
        assert ready.voxel_size_mm == (4.0, 2.0, 1.5)


def test_rows_that_are_cropped_move_the_origin_of_a_known_orientation() -> None:
    affine = torch.tensor([[0.0, -2, 0, 9], [-1.5, 0, 0, 8], [0, 0, 4, 7], [0, 0, 0, 1]])
    mask = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    kspace = KSpace(samples(), mask, affine=affine, recon_matrix=(20, None))

    cropped = prepare(kspace).kspace

    first = HEIGHT // 2 - 10
    assert cropped.affine is not None
    new_index, old_index = torch.tensor([3.0, 5, 1, 1]), torch.tensor([3.0, 5 + first, 1, 1])
    torch.testing.assert_close(cropped.affine @ new_index, affine @ old_index)
