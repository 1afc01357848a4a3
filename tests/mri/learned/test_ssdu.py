"""Training on undersampled data alone: what the network sees, and that it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.evidence.withheld import WithheldConfig, withheld_error, withhold
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.method import images_of
from medconsist.mri.learned.sample_splits import SplitConfig
from medconsist.mri.learned.ssdu import Ssdu, SsduConfig, measurements_from
from medconsist.mri.methods import CgSense, Zerofilled
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.zerofilled_rss import rss_scale
from tests.mri.cirim.random_scan import random_scan
from tests.mri.cirim.scans_48 import SIDE, scans

TINY = CirimConfig(cascades=1, steps=2, features=4)
# explicit consistency: a few steps down the gradient from the start, so that it learns in seconds
SMALL = CirimConfig(cascades=4, steps=1, features=8, consistency="explicit")
SPLIT = SplitConfig(calibration=0)


def objective(config: SsduConfig, scan: Measurement) -> Ssdu:
    return Ssdu(config, [scan])


def generator_at(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_lambda_never_enters_the_network(generator: torch.Generator) -> None:
    task = objective(SsduConfig(network=TINY, split=SPLIT), random_scan(generator))
    batch = task.draw(generator, 0)
    network = task.build(generator)
    target = batch.target.clone().requires_grad_()
    loss = task.losses(network, replace(batch, target=target))["loss"]
    other = replace(batch, target=2 * batch.target)
    first, second = (network(one.samples, one.mask, one.maps, one.sigma) for one in (batch, other))
    assert torch.equal(first, second)
    assert loss != task.losses(network, other)["loss"]
    assert not (batch.samples != 0)[batch.hold[:, None].expand_as(batch.samples)].any()
    assert not (batch.mask & batch.hold).any()


def test_changing_a_sample_of_lambda_changes_what_is_compared_alone(
    generator: torch.Generator,
) -> None:
    scan = random_scan(generator)
    config = SsduConfig(network=TINY, split=SPLIT)
    before = objective(config, scan).draw(generator_at(5), 0)
    # small, so that the scale of the scan, a percentile over its pixels, hardly moves
    changed = scan.samples + 1e-3 * before.hold[:, None]
    after = objective(config, scan.with_samples(changed)).draw(generator_at(5), 0)
    assert torch.equal(before.hold, after.hold)
    ratio = float(after.sigma / before.sigma)
    torch.testing.assert_close(after.samples, before.samples * ratio)
    assert not torch.allclose(after.target, before.target * ratio)


def test_a_batch_is_a_function_of_its_generator(generator: torch.Generator) -> None:
    scan = random_scan(generator, slices=3)
    task = objective(SsduConfig(network=TINY, split=SPLIT, batch=2), scan)
    first, again = (task.draw(generator_at(7), 0) for _ in range(2))
    assert torch.equal(first.samples, again.samples)
    assert torch.equal(first.hold, again.hold)
    assert len(first.samples) == 2


def test_pairs_are_drawn_once(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    fixed = objective(SsduConfig(network=TINY, split=SPLIT, pairs=3), scan)
    anew = objective(SsduConfig(network=TINY, split=SPLIT), scan)

    def different(task: Ssdu) -> int:
        draws = (task.draw(generator_at(seed), 0).hold for seed in range(30))
        return len({tuple(hold.flatten().tolist()) for hold in draws})

    assert different(fixed) == 3
    assert different(anew) == 30


def test_slices_of_one_scan_share_its_scale(generator: torch.Generator) -> None:
    scan = random_scan(generator, slices=2)
    batch = objective(SsduConfig(network=TINY, split=SPLIT, batch=4), scan).draw(generator, 0)
    expected = scan.sigma / rss_scale(scan.samples)
    torch.testing.assert_close(batch.sigma, torch.full((4,), expected))


def test_a_slice_of_padding_is_not_learnt_from(generator: torch.Generator) -> None:
    scan = random_scan(generator, slices=3)
    signal = torch.tensor([True, False, True])[:, None, None, None]
    task = objective(
        SsduConfig(network=TINY, split=SPLIT, batch=20), scan.with_samples(signal * scan.samples)
    )
    batch = task.draw(generator, 0)
    assert batch.target.abs().flatten(1).amax(1).all()
    assert torch.isfinite(task.losses(task.build(generator), batch)["loss"])


def trained(scan_list: list[Measurement], config: SsduConfig, steps: int) -> nn.Module:
    task = Ssdu(config, scan_list)
    network = task.build(generator_at(0))
    optimizer = Adam(network.parameters(), lr=1e-2)
    for step in range(steps):
        loss = task.losses(network, task.draw(generator_at(step), step))["loss"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return network


def test_a_network_that_saw_undersampled_scans_predicts_withheld_samples() -> None:
    """Better than its own input, zero-filled, and than CG-SENSE as it comes, on other scans."""
    config = SsduConfig(network=SMALL, split=SplitConfig(calibration=SIDE))
    network = trained(scans(6, acceleration=4, snr=10), config, 100)
    ours, others = list[float](), list[list[float]]()
    for number, scan in enumerate(scans(4, seed=1, acceleration=4, snr=10)):
        region = torch.zeros(1, 48, 48, dtype=torch.bool)
        region[:, 18:30, 18:30] = True
        split = withhold(
            scan.mask,
            keep_region=region,
            config=WithheldConfig(unit="point"),
            generator=generator_at(number),
        )

        def solve(seen: Measurement) -> Tensor:
            return images_of(network, seen, scale=rss_scale(seen.samples))

        ours.append(withheld_error(solve, scan, split).nrmse)
        classical = (Zerofilled(), CgSense())
        others.append([withheld_error(m.solve, scan, split).nrmse for m in classical])
    for compared in zip(*others, strict=True):
        assert sum(ours) < sum(compared)


class Silence(nn.Module):
    """A network that says 0, so that its relative error is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, samples: Tensor, mask: Tensor, maps: Tensor, sigma: Tensor) -> Tensor:
        del mask, sigma
        slices, sets, _, *plane = maps.shape
        return (self.level * torch.ones(1, 1, slices, sets, *plane)).to(samples)


def test_evaluation_measures_withheld_samples_of_validation_scans(
    generator: torch.Generator,
) -> None:
    first, second, third = (random_scan(generator, slices=n) for n in (1, 2, 1))
    config = SsduConfig(network=TINY, split=SPLIT)
    task = Ssdu(config, [first], validation=[second, third])
    assert Ssdu(config, [first]).evaluate(Silence()) == {}
    assert task.evaluate(Silence())["nrmse"] == pytest.approx(1)
    network = task.build(generator)
    assert task.evaluate(network) == task.evaluate(network)
    assert task.evaluate(network)["nrmse"] != pytest.approx(1)


def test_what_was_trained_is_said(generator: torch.Generator) -> None:
    task = objective(SsduConfig(network=TINY, split=SPLIT), random_scan(generator))
    assert CirimConfig(**{k: v for k, v in task.architecture().items() if k != "network"}) == TINY
    assert task.about()["trained_on"] == "undersampled scans"
    assert isinstance(task.build(generator), Cirim)


def test_scans_are_read_from_files(tmp_path: Path) -> None:
    files = write_series(Series(scans=1, slices=1, size=48, coils=4, acceleration=2.0), tmp_path)
    (scan,) = measurements_from(files)
    Ssdu(SsduConfig(network=TINY), [scan])
    assert scan.samples.shape == (1, 4, 48, 48)


def test_a_scan_without_withheld_samples_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator, shape=(24, 24))
    mask = torch.zeros(1, 24, 24, dtype=torch.bool)
    mask[:, 4:20, 4:20] = True
    only_calibration = replace(scan, mask=mask).with_samples(torch.ones(1, 3, 24, 24) + 0j)
    with pytest.raises(NothingToWithholdError, match=r"scan 1: a fraction 0\.4"):
        Ssdu(SsduConfig(network=TINY), [scan, only_calibration])


def test_no_scan_and_an_empty_scan_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="got no scan"):
        Ssdu(SsduConfig(network=TINY), [])
    scan = random_scan(generator)
    empty = scan.with_samples(torch.zeros_like(scan.samples))
    with pytest.raises(RefusedInputError, match="scan 0: its samples are all zero"):
        Ssdu(SsduConfig(network=TINY, split=SPLIT), [empty])


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="at least 1 of each"):
        SsduConfig(pairs=0)
    with pytest.raises(RefusedInputError, match=r"scale got 0\.0"):
        SsduConfig(scale=0.0)
