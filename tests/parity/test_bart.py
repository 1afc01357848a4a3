"""Beside BART 0.8.00: coil maps, CG-SENSE and compressed sensing, on a phantom and a real head.

The phantom is BART's own: analytic k-space of eight coils on 256 x 256, complex noise of variance
25, variable-density Poisson-disc samples. The head is one slice of 8 x 230 x 180 samples at
acceleration 8. Errors are NRMSE after the best common factor, as `bart nrmse -s` defines it, of
magnitudes in place: what is mirrored or shifted fails. `pytest --log-cli-level=INFO` shows them.
"""

import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.mri.cfl import kspace_to_bart, read_cfl, write_cfl
from medconsist.mri.espirit import EspiritConfig, espirit
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled

pytestmark = pytest.mark.bart

BUDGET_BYTES = 2**28
WEIGHT = 0.005
# bart nrmse -s of `pics -R W:3:0:0.005 -i 60`, by poisson -y = -z: what the spec measured.
PICS_ERRORS = {"1.3": 0.0784, "1.7": 0.0790, "2.2": 0.0863}

_log = logging.getLogger(__name__)


def nrmse(reference: Tensor, image: Tensor) -> float:
    """``||image - f reference|| / ||f reference||`` with the best factor f, as BART has it."""
    factor = torch.vdot(reference.flatten(), image.flatten())
    fitted = reference * factor / torch.vdot(reference.flatten(), reference.flatten())
    return float(torch.linalg.vector_norm(image - fitted) / torch.linalg.vector_norm(fitted))


def relative(image: Tensor, reference: Tensor) -> float:
    return float(torch.linalg.vector_norm(image - reference) / torch.linalg.vector_norm(reference))


@dataclass(frozen=True)
class Bart:
    """The program, in a folder of its own; ``axes`` are those of height and width in its files."""

    program: str
    folder: Path
    axes: tuple[int, int]

    def __call__(self, command: str) -> str:
        words = [self.program, *command.split()]
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout

    def read(self, name: str) -> Tensor:
        """Return an array as ``sets coils height width``."""
        array = read_cfl(self.folder / name, budget_bytes=BUDGET_BYTES)
        return array.movedim((4, 3, *self.axes), (-4, -3, -2, -1)).flatten(0, -5)[0]

    def image(self, name: str) -> Tensor:
        return self.read(name)[0, 0]

    def measurement(self, kspace: str, maps: Tensor) -> Measurement:
        samples = self.read(kspace)
        return Measurement(samples, samples[:, 0] != 0, maps[None], sigma=1.0)

    def calibration(self, kspace: str) -> Tensor:
        samples = self.read(kspace)
        top, left = (n // 2 - 12 for n in samples.shape[-2:])
        return samples[..., top : top + 24, left : left + 24]


@pytest.fixture(scope="session")
def phantom(bart: str, tmp_path_factory: pytest.TempPathFactory) -> Bart:
    run = Bart(bart, tmp_path_factory.mktemp("phantom"), axes=(0, 1))
    run("phantom -k -s 8 -x 256 ksp")
    run("noise -s 1 -n 25 ksp noisy")
    run("ecalib -m1 -r 24 noisy sens")
    run("fft -u -i 3 noisy coils")
    run("fmac -C -s 8 coils sens ref")
    for density in PICS_ERRORS:
        run(f"poisson -Y 256 -Z 256 -y {density} -z {density} -C 24 -v -e -s 1 pattern")
        run("squeeze pattern plane")
        run(f"fmac noisy plane ksp{density}")
        run(f"ecalib -m1 -r 24 ksp{density} sens{density}")
    return run


@pytest.fixture(scope="session")
def head(bart: str, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Bart:
    run = Bart(bart, tmp_path_factory.mktemp("head"), axes=(1, 2))
    samples = torch.from_numpy(np.load(data_dir / "mri" / "sigpy_cartesian_ksp.npy"))
    write_cfl(run.folder / "ksp", kspace_to_bart(samples[None]))
    run("ecalib -m1 -r 24 ksp sens")
    run(f"pics -d0 -S -R W:6:0:{WEIGHT} -i 60 ksp sens rec")
    return run


@pytest.mark.parametrize("density", PICS_ERRORS)
def test_espirit_in_barts_form_gives_its_maps_of_the_phantom(phantom: Bart, density: str) -> None:
    config = EspiritConfig(eigenvectors="bart")
    found = espirit(phantom.calibration(f"ksp{density}"), (256, 256), config=config)
    difference = relative(found.maps[0], phantom.read(f"sens{density}"))
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3


@pytest.mark.data
@pytest.mark.parametrize("sets", [1, 2])
def test_espirit_in_barts_form_gives_its_maps_of_the_head(head: Bart, sets: int) -> None:
    head(f"ecalib -m{sets} -r 24 ksp maps values")
    config = EspiritConfig(sets=sets, eigenvectors="bart")
    found = espirit(head.calibration("ksp"), (230, 180), config=config)
    difference = relative(found.maps[0], head.read("maps"))
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3
    assert relative(found.eigenvalues[0], head.read("values")[:, 0].real) < 1e-3


@pytest.mark.parametrize("density", PICS_ERRORS)
def test_wavelet_error_is_at_most_that_of_pics(phantom: Bart, density: str) -> None:
    phantom(f"pics -d0 -S -R W:3:0:{WEIGHT} -i 60 ksp{density} sens{density} rec")
    reference, theirs = phantom.image("ref"), phantom.image("rec")
    assert nrmse(reference, theirs) == pytest.approx(PICS_ERRORS[density], abs=1e-4)
    given = phantom.measurement(f"ksp{density}", phantom.read(f"sens{density}"))
    ours = CompressedSensing(lambda_=WEIGHT)(given)[0]
    errors = {
        "complex": (nrmse(reference, ours), nrmse(reference, theirs)),
        "magnitude": (nrmse(reference.abs(), ours.abs()), nrmse(reference.abs(), theirs.abs())),
    }
    _log.info("NRMSE of ours and of BART: %s", errors)
    for our_error, their_error in errors.values():
        assert our_error <= 1.05 * their_error


def test_tv_of_the_phantom_is_no_worse_than_its_wavelet_image(phantom: Bart) -> None:
    reference = phantom.image("ref")
    given = phantom.measurement("ksp1.7", phantom.read("sens1.7"))
    tv, wavelet = (
        nrmse(reference.abs(), CompressedSensing(regulariser=r)(given)[0].abs())
        for r in ("tv", "wavelet")
    )
    assert tv <= wavelet  # the phantom is piecewise constant


def test_zero_filled_and_cg_images_of_the_phantom_are_barts(phantom: Bart) -> None:
    phantom("fft -u -i 3 ksp2.2 coils")
    phantom("fmac -C -s 8 coils sens2.2 zerofilled")
    phantom("pics -S -l2 -r 0.001 -i 30 ksp2.2 sens2.2 cg")
    given = phantom.measurement("ksp2.2", phantom.read("sens2.2"))
    difference = relative(CgSense(lambda_=0.001)(given)[0], phantom.image("cg"))
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3
    assert relative(Zerofilled()(given)[0], phantom.image("zerofilled")) < 1e-5


@pytest.mark.data
def test_cg_image_of_the_head_is_barts(head: Bart) -> None:
    head(f"pics -S -l2 -r {WEIGHT} -i 30 ksp sens cg")
    ours = CgSense(lambda_=WEIGHT)(head.measurement("ksp", head.read("sens")))[0]
    # Magnitudes: where half an axis is odd (230 / 2) the image of pics has the opposite sign.
    difference = relative(ours.abs(), head.image("cg").abs())
    _log.info("relative difference %.1e", difference)
    assert difference < 1e-3


@pytest.mark.data
def test_wavelet_image_of_the_head_is_near_that_of_pics(head: Bart) -> None:
    given = head.measurement("ksp", head.read("sens"))
    ours = CompressedSensing(lambda_=WEIGHT)(given)[0]
    difference = nrmse(head.image("rec").abs(), ours.abs())
    _log.info("NRMSE to the image of pics %.4f", difference)
    assert difference < 0.045


@pytest.mark.data
@pytest.mark.parametrize("form", ["exact", "bart"])
def test_head_with_own_maps_is_near_that_of_ecalib_and_pics(head: Bart, form: str) -> None:
    config = EspiritConfig(eigenvectors=form)  # type: ignore[arg-type]  # one of the two above
    own = espirit(head.calibration("ksp"), (230, 180), config=config).maps[0]
    ours = CompressedSensing(lambda_=WEIGHT)(head.measurement("ksp", own))[0]
    difference = nrmse(head.image("rec").abs(), ours.abs())
    _log.info("NRMSE to the image of pics %.4f", difference)
    assert difference < 0.06
