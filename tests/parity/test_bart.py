"""Beside BART 0.8.00: coil maps, CG-SENSE and compressed sensing, on a phantom and a real head.

The phantom is BART's own: analytic k-space of eight coils on 256 x 256, complex noise of variance
25, variable-density Poisson-disc samples. The head is one slice of 8 x 230 x 180 samples at
acceleration 8. Errors are those of `bart nrmse -s`, of images in place: what is mirrored or
shifted fails. `pytest --log-cli-level=INFO` shows the figures; `medconsist bench mri` reports them.
"""

import logging
from pathlib import Path
from typing import Literal

import pytest
from torch import Tensor

from medconsist.metrics.image import nrmse_scaled
from medconsist.mri.bench.bart import (
    SPREADS,
    Bart,
    Compared,
    magnitude_error,
    phantom_scans,
    real_scan,
    relative_difference,
)
from medconsist.mri.bench.real import REAL_SLICE
from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled
from medconsist.mri.readers import read_maps

pytestmark = pytest.mark.bart

WEIGHT = 0.005
# bart nrmse -s of `pics -R W:3:0:0.005 -i 60`, by poisson -y = -z: what the spec measured.
PICS_ERRORS = {1.3: 0.0784, 1.7: 0.0790, 2.2: 0.0863}
Phantom = tuple[Tensor, dict[float, Compared]]

_log = logging.getLogger(__name__)


@pytest.fixture(scope="session")
def phantom(bart: str, tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return phantom_scans(Bart(bart, tmp_path_factory.mktemp("phantom")))


@pytest.fixture(scope="session")
def head(bart: str, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return real_scan(Bart(bart, tmp_path_factory.mktemp("head")), data_dir / REAL_SLICE)


@pytest.fixture(scope="session")
def head_by_pics(head: Compared) -> Tensor:
    return head.pics(f"-R W:{WEIGHT} -i 60")


@pytest.mark.parametrize("spread", SPREADS)
def test_espirit_in_barts_form_gives_its_maps_of_the_phantom(
    phantom: Phantom, spread: float
) -> None:
    scan = phantom[1][spread]
    ours = scan.espirit(EspiritConfig(eigenvectors="bart")).maps
    difference = relative_difference(ours, scan.bart_maps)
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3


@pytest.mark.data
@pytest.mark.parametrize("sets", [1, 2])
def test_espirit_in_barts_form_gives_its_maps_of_the_head(head: Compared, sets: int) -> None:
    head.bart.run(f"ecalib -m{sets} -r 24 {head.name} several values")
    ours = head.espirit(EspiritConfig(sets=sets, eigenvectors="bart"))
    difference = relative_difference(ours.maps, read_maps(head.bart.path("several")))
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3
    values = read_maps(head.bart.path("values"))[:, :, 0].real
    assert relative_difference(ours.eigenvalues, values) < 1e-3


@pytest.mark.parametrize("spread", SPREADS)
def test_wavelet_error_is_at_most_that_of_pics(phantom: Phantom, spread: float) -> None:
    reference, scan = phantom[0], phantom[1][spread]
    theirs = scan.pics(f"-R W:{WEIGHT} -i 60")
    assert nrmse_scaled(theirs, reference) == pytest.approx(PICS_ERRORS[spread], abs=1e-4)
    ours = CompressedSensing(lambda_=WEIGHT)(scan.measurement(scan.bart_maps))
    for error in (nrmse_scaled, magnitude_error):
        our_error, their_error = error(ours, reference), error(theirs, reference)
        _log.info("%s: ours %.4f, BART %.4f", error.__name__, our_error, their_error)
        assert our_error <= 1.05 * their_error


def test_tv_of_the_phantom_is_no_worse_than_its_wavelet_image(phantom: Phantom) -> None:
    reference, scan = phantom[0], phantom[1][1.7]
    given = scan.measurement(scan.bart_maps)
    tv = magnitude_error(CompressedSensing(regulariser="tv")(given), reference)
    wavelet = magnitude_error(CompressedSensing(regulariser="wavelet")(given), reference)
    assert tv <= wavelet  # the phantom is piecewise constant


def test_zero_filled_and_cg_images_of_the_phantom_are_barts(phantom: Phantom) -> None:
    scan = phantom[1][2.2]
    given = scan.measurement(scan.bart_maps)
    difference = relative_difference(CgSense(lambda_=0.001)(given), scan.pics("-l2 -r 0.001 -i 30"))
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3
    scan.bart.run(f"fft -u -i 3 {scan.name} coils")
    scan.bart.run(f"fmac -C -s 8 coils {scan.name}_maps zerofilled")
    assert relative_difference(Zerofilled()(given), scan.bart.image("zerofilled")) < 1e-5


@pytest.mark.data
def test_cg_image_of_the_head_is_barts(head: Compared) -> None:
    ours = CgSense(lambda_=WEIGHT)(head.measurement(head.bart_maps))
    # Magnitudes: where half an axis is odd (230 / 2) the image of pics has the opposite sign.
    difference = relative_difference(ours.abs(), head.pics(f"-l2 -r {WEIGHT} -i 30").abs())
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3


@pytest.mark.data
def test_wavelet_image_of_the_head_is_near_that_of_pics(
    head: Compared, head_by_pics: Tensor
) -> None:
    ours = CompressedSensing(lambda_=WEIGHT)(head.measurement(head.bart_maps))
    difference = magnitude_error(ours, head_by_pics)
    _log.info("NRMSE to the image of pics %.4f", difference)
    assert difference < 0.045


@pytest.mark.data
@pytest.mark.parametrize("form", ["exact", "bart"])
def test_head_with_own_maps_is_near_that_of_ecalib_and_pics(
    head: Compared, head_by_pics: Tensor, form: Literal["exact", "bart"]
) -> None:
    own = head.espirit(EspiritConfig(eigenvectors=form)).maps
    ours = CompressedSensing(lambda_=WEIGHT)(head.measurement(own))
    difference = magnitude_error(ours, head_by_pics)
    _log.info("NRMSE to the image of pics %.4f", difference)
    assert difference < 0.06
