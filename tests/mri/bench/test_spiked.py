"""Spiked training scans: what is spiked, and the rows of the study."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.spiked import spiked_table
from medconsist.mri.bench.spiked_training import SpikeStudy, simulated_scans, spiked
from medconsist.mri.cirim.config import CirimConfig

TINY = SpikeStudy(
    losses=("ssdu", "cauchy, scan"),
    seeds=2,
    training_scans=2,
    test_scans=2,
    steps=2,
    size=40,
    coils=2,
    network=CirimConfig(cascades=1, steps=1, features=4),
)


def test_spikes_are_gross_few_and_at_one_place_in_all_coils(generator: torch.Generator) -> None:
    scan = simulated_scans(TINY, "training", 0).measurements[0]
    region = torch.zeros(40, 40, dtype=torch.bool)
    region[16:24, 16:24] = True
    other = spiked(scan, count=3, amplitude=15.0, keep_region=region, generator=generator)
    added = other.samples - scan.samples
    hit = added.abs().sum((0, 1)) > 0
    assert int(hit.sum()) == 3
    assert not (hit & region).any()
    assert (scan.mask[0] | ~hit).all()
    level = scan.samples[:, :, scan.mask[0]].abs().square().mean().sqrt()
    torch.testing.assert_close(added[0][:, hit].abs(), (15 * level).expand(2, 3))
    assert torch.equal(scan.samples[:, :, ~hit], other.samples[:, :, ~hit])


def test_training_scans_differ_from_seed_to_seed_and_from_test_scans() -> None:
    first, second = (simulated_scans(TINY, "training", seed).measurements[0] for seed in (0, 1))
    test = simulated_scans(TINY, "test", 0).measurements[0]
    assert not torch.equal(first.mask, second.mask)
    assert not torch.allclose(first.samples, test.samples)


def test_the_table_reports_each_run_the_mean_and_the_worst_ratio() -> None:
    rows = spiked_table(seed=3, study=TINY).rows
    cases = [row.case for row in rows if row.metric == "nmse"]
    assert cases[0] == "simulated, zero-filled"
    for loss in ("supervised mse", *TINY.losses):
        for share in ("0% spiked", "30% spiked"):
            assert f"simulated, {loss}, {share}" in cases
            assert f"simulated, {loss}, {share}, training run 2" in cases
    verdicts = [row for row in rows if "survive" in row.case]
    assert len(verdicts) == 3
    for row in verdicts:
        assert row.ratio is not None
        assert row.unit_of_analysis == "training run"
        assert (row.ratio <= 1.25) == row.case.endswith(": survives")


def test_the_mean_is_that_of_the_runs() -> None:
    rows = {(row.case, row.metric): row for row in spiked_table(seed=3, study=TINY).rows}
    case = "simulated, ssdu, 30% spiked"
    runs = [rows[f"{case}, training run {n}", "ssim"].value for n in (1, 2)]
    assert rows[case, "ssim"].value == pytest.approx(sum(runs) / 2)
    assert [rows[f"{case}, training run {n}", "ssim"].seed for n in (1, 2)] == [3, 4]


def test_a_study_out_of_range_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="'seeds': 0"):
        SpikeStudy(seeds=0)
    with pytest.raises(RefusedInputError, match="losses of ssdu, mse"):
        SpikeStudy(losses=("l2",))
    with pytest.raises(RefusedInputError, match="shares from 0 to 1"):
        SpikeStudy(shares=(0.0, 1.5))
