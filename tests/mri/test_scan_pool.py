"""Pools of simulated slices: consistent with their forward model, turned, smaller, stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import sense_operator
from medconsist.mri.scan_pool import PoolConfig, ScanPool, load_pool

TINY = PoolConfig(scans=1, slices=1, size=48, coils=3)


@pytest.fixture(scope="module")
def simulated() -> ScanPool:
    return ScanPool.simulate(replace(TINY, scans=2, slices=2, snr=(60.0, 60.0)))


def made_of_an_image(generator: torch.Generator, size: int = 16) -> tuple[ScanPool, Tensor]:
    """Fully sampled noise-free slices of a positive image: y = A x holds exactly."""
    image = torch.rand(2, size, size, generator=generator)
    maps = torch.randn(2, 3, size, size, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=1, keepdim=True)
    samples = predicted(maps, image)
    return ScanPool(samples, maps, torch.tensor([0.1, 0.2]), image), image


def predicted(maps: Tensor, image: Tensor) -> Tensor:
    everywhere = torch.ones(1, *image.shape[1:], dtype=torch.bool)
    return sense_operator(everywhere, maps[:, None])((image + 0j)[:, None])


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("symmetry", range(8))
def test_samples_fit_maps_and_reference_after_a_symmetry(
    symmetry: int, size: int, generator: torch.Generator
) -> None:
    pool, _ = made_of_an_image(generator, size)
    turned = pool.turned(symmetry)
    torch.testing.assert_close(
        turned.samples, predicted(turned.maps, turned.reference), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("size", [15, 16])
def test_the_eight_symmetries_differ_and_keep_the_centre(
    size: int, generator: torch.Generator
) -> None:
    pool, image = made_of_an_image(generator, size)
    turned = [pool.turned(symmetry).reference for symmetry in range(8)]
    centre = size // 2
    for number, one in enumerate(turned):
        assert torch.equal(one[:, centre, centre], image[:, centre, centre])
        assert not any(torch.equal(one, other) for other in turned[:number])
    assert torch.equal(turned[0], image)


@pytest.mark.parametrize(("size", "small"), [(16, 8), (16, 4), (18, 9), (15, 5)])
def test_a_smaller_pool_fits_its_maps_where_they_are_smooth(
    size: int, small: int, generator: torch.Generator
) -> None:
    """With constant maps y = A x holds exactly at the lower resolution; no half-pixel shift."""
    image = torch.rand(1, size, size, generator=generator)
    maps = torch.full((1, 4, size, size), 0.5 + 0j)
    pool = ScanPool(predicted(maps, image), maps, torch.ones(1), image)
    low = pool.smaller(small)
    everywhere = torch.ones(1, small, small, dtype=torch.bool)
    found = sense_operator(everywhere, low.maps[:, None]).H(low.samples)[:, 0]
    torch.testing.assert_close(found.abs(), low.reference, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "small"), [(16, 8), (18, 9), (15, 5)])
def test_maps_of_a_smaller_pool_stay_on_the_centre(
    size: int, small: int, generator: torch.Generator
) -> None:
    pool, _ = made_of_an_image(generator, size)
    low = pool.smaller(small)
    centre, low_centre = size // 2, small // 2
    assert torch.equal(low.maps[..., low_centre, low_centre], pool.maps[..., centre, centre])


def test_intensities_stay_and_noise_falls_with_the_resolution(generator: torch.Generator) -> None:
    flat = torch.full((1, 16, 16), 3.0)
    maps = torch.ones(1, 1, 16, 16, dtype=torch.complex64)
    low = ScanPool(predicted(maps, flat), maps, torch.tensor([0.4]), flat).smaller(8)
    torch.testing.assert_close(low.reference, torch.full((1, 8, 8), 3.0))
    torch.testing.assert_close(low.sigma, torch.tensor([0.2]))


def test_a_size_that_does_not_divide_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="size got 7; allowed: a divisor of 16"):
        made_of_an_image(generator)[0].smaller(7)


def test_simulated_samples_fit_maps_and_reference(simulated: ScanPool) -> None:
    """At SNR 60 full sampling leaves noise, and what one map set and its edge cannot say."""
    everywhere = torch.ones(1, TINY.size, TINY.size, dtype=torch.bool)
    image = sense_operator(everywhere, simulated.maps[:, None]).H(simulated.samples)[:, 0].abs()
    inside = simulated.reference > 0.3
    ratio = (image / simulated.reference)[inside]
    assert float(ratio.median()) == pytest.approx(1, abs=0.02)
    assert float(ratio.std()) < 0.1


def test_simulated_slices_are_of_order_one(simulated: ScanPool) -> None:
    quantile = simulated.reference.flatten(1).quantile(0.99, dim=1)
    torch.testing.assert_close(quantile, torch.ones(4))


def test_the_stated_noise_level_is_that_of_the_samples() -> None:
    """In a corner of k-space at SNR 3, where the signal left is 0.04 and the noise 0.2."""
    noisy = ScanPool.simulate(replace(TINY, snr=(3.0, 3.0)))
    found = noisy.samples[..., :8, :8].abs().square().mean().sqrt()
    # 192 samples: one standard error is 3.6 %
    assert float(found / noisy.sigma) == pytest.approx(1, abs=0.12)


def test_a_scan_is_the_same_whether_or_not_others_are_made() -> None:
    one, two = ScanPool.simulate(TINY), ScanPool.simulate(replace(TINY, scans=2))
    assert torch.equal(two.samples[:1], one.samples)
    assert not torch.equal(two.samples[1], one.samples[0])


def test_a_pool_is_made_once_and_read_equal(tmp_path: Path, monkeypatch: Any) -> None:
    made = load_pool(TINY, tmp_path / "pools")
    (file,) = (tmp_path / "pools").iterdir()
    before = file.stat().st_mtime_ns
    monkeypatch.setattr(ScanPool, "simulate", None)  # a second making would fail
    read = load_pool(TINY, tmp_path / "pools")
    assert file.stat().st_mtime_ns == before
    for name in ("samples", "maps", "sigma", "reference"):
        assert torch.equal(getattr(made, name), getattr(read, name))


def test_another_configuration_has_another_file(tmp_path: Path) -> None:
    others = replace(TINY, seed=1), replace(TINY, role="validation")
    first, *pools = (load_pool(config, tmp_path) for config in (TINY, *others))
    assert len(list(tmp_path.iterdir())) == 3
    assert not any(torch.equal(pool.reference, first.reference) for pool in pools)


def test_a_pool_that_could_not_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medconsist.mri.scan_pool.save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        load_pool(TINY, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scans": 0}, "got 0 scans of 1 slices"),
        ({"size": 0}, "size 0"),
        ({"coils": 0}, "0 coils"),
        ({"scans": 2**16 + 1}, "number got 65536; allowed"),
        ({"seed": -1}, "seed got -1; allowed"),
        ({"contrasts": ("PD",)}, "contrasts of T1w"),
        ({"contrasts": ()}, "at least 1 of each"),
        ({"snr": (0.0, 5.0)}, "snr got"),
        ({"snr": (9.0, 5.0)}, "0 < least <= largest"),
    ],
)
def test_impossible_pools_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedInputError, match=words):
        replace(TINY, **changes)
