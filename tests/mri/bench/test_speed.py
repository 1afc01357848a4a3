"""``medconsist bench cirim-speed``: what it reports, on sizes that take seconds."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.bench import speed
from medconsist.mri.bench.plain import PlainCirim
from medconsist.mri.bench.speed import CLOCK, CORES, Sizes, run_bench
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.results.bench import BenchReport
from tests.mri.cirim.random_scan import arguments, random_scan

TINY = Sizes(coils=2, side=32, cascades=1, steps=2, features=4, repeats=1, threads=1)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(seed=3, sizes=TINY)


def test_both_precisions_are_timed_beside_their_bare_work(report: BenchReport) -> None:
    timed = [row for row in report.rows if "beside bare" in row.case]
    assert [row.metric for row in timed] == [CLOCK, CORES] * 2
    for row in timed:
        assert row.baseline is not None
        assert row.ratio == pytest.approx(row.value / row.baseline)
        assert row.case.startswith(("float32", "bfloat16"))


def test_images_and_ssim_stay_within_what_is_asked(report: BenchReport) -> None:
    by_name = {target.name: target for target in report.targets}
    assert by_name["images, float32"].met
    assert by_name["change of SSIM by bfloat16"].met


def test_memory_is_that_of_a_process_beside_the_plain_one(report: BenchReport) -> None:
    row = next(row for row in report.rows if row.unit == "GiB")
    assert 0.05 < row.value < 4


def test_bare_work_counts_every_convolution_and_transform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the shapes that the network itself convolves, were its arrays padded."""
    shapes: list[tuple[int, ...]] = []
    convolve = torch.nn.functional.conv2d

    def watched(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        out: torch.Tensor = convolve(x, *args, **kwargs)
        shapes.append(tuple(out.shape))
        return out

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    network, scan = speed._network(TINY, 0), speed._random_slice(TINY, 0)
    speed._bare_work(network, scan, torch.float32)()
    bare = sorted(shapes)
    shapes.clear()
    PlainCirim(network)(*scan[:3])
    assert bare == sorted(shapes)
    assert len(bare) == 5 * TINY.cascades * TINY.steps


def test_threads_are_as_before(report: BenchReport) -> None:
    before = torch.get_num_threads()
    assert report.machine.threads == TINY.threads
    assert torch.get_num_threads() == before


def test_a_cpu_without_half_precision_has_no_target_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "has_bfloat16", lambda: False)
    target = speed._near_bare("half", "bf16", 3.0)
    assert target.met
    assert target.seen == speed.NO_HALF
    assert not speed._near_bare("single", "32", 1.3).met


def test_the_plain_form_is_the_network(generator: torch.Generator) -> None:
    network = speed._network(replace(TINY, cascades=2), 1)
    scan = arguments(random_scan(generator, slices=2, sets=2))
    with torch.no_grad():
        wanted = network(*scan).flatten(0, 1)
    torch.testing.assert_close(PlainCirim(network)(*scan[:3]), wanted, rtol=1e-5, atol=1e-5)


def test_the_plain_form_knows_the_usual_settings_alone() -> None:
    with pytest.raises(RefusedInputError, match=r"allowed: other numbers of cascades, steps"):
        PlainCirim(Cirim(CirimConfig(features=4, unit="gru")))


@pytest.mark.gpu
def test_a_gpu_is_named_with_its_slices_a_second() -> None:
    rows = speed._on_gpu(TINY, 0).rows
    assert len(rows) == 6
    assert all(row.case.startswith(torch.cuda.get_device_name(0)) for row in rows)
