"""``medconsist bench ts``: what it reports, on sizes that take a second."""

from dataclasses import replace

import pytest
import torch

from medconsist.networks.dilated import DilatedConfig, DilatedEncoder
from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench import ts
from medconsist.timeseries.bench.plain import PlainComet, PlainEncoder
from medconsist.timeseries.bench.ts import FAST, HALF, Sizes, run_bench
from medconsist.timeseries.comet.config import REFERENCE
from medconsist.timeseries.comet.model import Comet

TINY = Sizes(batch=16, time=32, channels=2, long=64, repeats=1, hidden=8, dim=8, depth=3)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(seed=3, sizes=TINY)


def test_both_fast_forms_are_timed_beside_the_plain_one(report: BenchReport) -> None:
    timed = [row for row in report.rows if row.metric == ts.TIME]
    assert [row.case.split(", 16 windows")[0] for row in timed] == [FAST, HALF]
    for row in timed:
        assert row.baseline is not None
        assert row.ratio == pytest.approx(row.value / row.baseline)


def test_losses_are_those_of_the_plain_form(report: BenchReport) -> None:
    by_name = {target.name: target for target in report.targets}
    assert by_name[f"loss, {FAST}"].met
    assert by_name[f"loss, {HALF}"].met


def test_memory_is_that_of_a_process_of_its_own(report: BenchReport) -> None:
    row = next(row for row in report.rows if row.unit == "GiB")
    assert 0.05 < row.value < 4


def test_a_cpu_without_half_precision_has_no_target_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ts, "has_bfloat16", lambda: False)
    target = ts._fast_enough(HALF, 1.0)
    assert target.met
    assert target.seen == ts.NO_HALF
    assert not ts._fast_enough(FAST, 1.0).met


def test_plain_encoder_and_loss_have_the_gradient_of_ours(generator: torch.Generator) -> None:
    config = DilatedConfig(channels=2, hidden=8, dim=6, depth=3, dropout=0)
    encoder = DilatedEncoder(config, generator=generator).double()
    plain = PlainEncoder(encoder).double()
    signals = torch.randn(2, 20, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(plain(signals), encoder(signals))
    model = Comet(config, REFERENCE, generator=generator)
    written_out = PlainComet(model.encoder, REFERENCE.weights[2:])
    batch = ts._windows(TINY, 32, seed=1)
    everything = torch.ones(16, 32, dtype=torch.bool)
    whole = Comet(config, replace(REFERENCE, masks=("all_true",) * 4))
    whole.load_state_dict(model.state_dict())
    whole(batch)["loss"].backward()
    written_out(batch, (everything, everything)).backward()
    for ours, theirs in zip(whole.parameters(), written_out.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad.view_as(ours), rtol=1e-3, atol=1e-4)
