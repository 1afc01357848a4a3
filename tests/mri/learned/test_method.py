"""A trained network as a method: units, scale, slices."""

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.zerofilled_rss import rss_scale
from tests.mri.cirim.random_scan import arguments, random_scan


@pytest.fixture
def method(generator: torch.Generator) -> LearnedMethod:
    config = CirimConfig(cascades=2, steps=2, features=4, noise_input=True)
    network = Cirim(config, generator=generator)
    return LearnedMethod(LearnedModel(network, "small", "0" * 64, {}))


@pytest.fixture
def scan(generator: torch.Generator) -> Measurement:
    return random_scan(generator, slices=3, sets=2)


def scaled(scan: Measurement, factor: float) -> Measurement:
    return replace(scan, samples=scan.samples * factor, sigma=scan.sigma * factor)


@pytest.mark.parametrize("factor", [1e-4, 0.3, 1e5])
def test_images_are_in_the_units_of_the_samples(
    factor: float, method: LearnedMethod, scan: Measurement
) -> None:
    torch.testing.assert_close(method(scaled(scan, factor)) / factor, method(scan))


def test_a_fixed_scale_follows_other_units(method: LearnedMethod, scan: Measurement) -> None:
    fixed = method.fixed(scan)
    assert fixed.scale == rss_scale(scan.samples)
    moved = fixed.rescaled(7.0)
    torch.testing.assert_close(moved(scaled(scan, 7.0)) / 7.0, method(scan))
    assert method.rescaled(7.0) == method


def test_a_fixed_method_does_not_look_at_the_samples_again(
    method: LearnedMethod, scan: Measurement
) -> None:
    fixed = method.fixed(scan)
    half = replace(scan, samples=scan.samples / 2)
    assert fixed.fixed(half) == fixed
    assert not torch.allclose(fixed(half), method(half))  # one is shown half the intensity


def test_the_network_sees_one_scale_and_its_own_noise_level(
    method: LearnedMethod, scan: Measurement
) -> None:
    scale = rss_scale(scan.samples)
    seen = replace(scan, samples=scan.samples / scale, sigma=scan.sigma / scale)
    with torch.no_grad():
        wanted = method.model.network(*arguments(seen))[-1, -1] * scale
    torch.testing.assert_close(method.solve(scan), wanted)


def test_a_stack_equals_slice_by_slice_at_a_given_scale(
    method: LearnedMethod, scan: Measurement
) -> None:
    fixed = method.fixed(scan)
    together = fixed(scan)
    for one in (slice(index, index + 1) for index in range(3)):
        alone = Measurement(scan.samples[one], scan.mask[one], scan.maps[one], scan.sigma)
        torch.testing.assert_close(fixed(alone), together[one])


def test_one_mask_serves_a_stack(method: LearnedMethod, scan: Measurement) -> None:
    one = scan.mask[:1]
    samples = torch.where(one[:, None], scan.samples, 0)
    shared = Measurement(samples, one, scan.maps, scan.sigma)
    every = replace(shared, mask=one.expand(3, -1, -1))
    torch.testing.assert_close(method(shared), method(every))


def test_no_gradient_and_no_change_of_the_weights(method: LearnedMethod, scan: Measurement) -> None:
    before = {name: w.clone() for name, w in method.model.network.state_dict().items()}
    assert not method(scan).requires_grad
    after = method.model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_record_says_what_decides_the_image(method: LearnedMethod) -> None:
    config = method.as_config()
    assert config["name"] == method.name == "small"
    assert config["weights_sha256"] == "0" * 64
    assert config["architecture"]["features"] == 4
    assert config["scale"] is None
    assert config["precision"] == "32"
    assert replace(method, precision="bf16").as_config()["precision"] == "bf16"


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_slices_together_give_the_same_images(
    batch: int, method: LearnedMethod, scan: Measurement
) -> None:
    torch.testing.assert_close(replace(method, batch=batch)(scan), method(scan))


def test_half_precision_is_another_image_near_by(method: LearnedMethod, scan: Measurement) -> None:
    single, half = method(scan), replace(method, precision="bf16")(scan)
    assert half.dtype == single.dtype
    assert 0 < (half - single).abs().max() < 0.05 * single.abs().max()  # bfloat16 has 8 bits


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"precision": "16"}], ids=repr)
def test_batch_and_precision_are_checked(wrong: dict[str, Any], method: LearnedMethod) -> None:
    values = {"model": method.model} | wrong
    with pytest.raises(RefusedInputError, match=r"(batch got 0|precision got '16'); allowed"):
        inspect.unwrap(LearnedMethod.__init__)(object.__new__(LearnedMethod), **values)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_must_be_positive_and_finite(scale: float, method: LearnedMethod) -> None:
    with pytest.raises(RefusedInputError, match=r"scale got .*; allowed: positive and finite"):
        replace(method, scale=scale)


def test_samples_that_are_all_zero_are_refused(method: LearnedMethod, scan: Measurement) -> None:
    with pytest.raises(RefusedInputError, match=r"scale of 0\.0: they are zero or not finite"):
        method(replace(scan, samples=0 * scan.samples))


@pytest.mark.gpu
def test_images_on_cuda_equal_those_on_cpu(method: LearnedMethod, scan: Measurement) -> None:
    wanted = method(scan)
    moved = Measurement(scan.samples.cuda(), scan.mask.cuda(), scan.maps.cuda(), scan.sigma)
    # TF32 kernels would give 1e-3
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = method(moved)
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-4, rtol=1e-4)
