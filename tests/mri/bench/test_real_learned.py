"""The real slice with networks; tiny ones here, so that it takes seconds."""

from pathlib import Path

import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.bench.real import CLASSICAL, REAL_SLICE, one_draw
from medconsist.mri.bench.real_learned import network_methods, real_learned_table, run_bench
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.learned.zero_shot import AdaptedMethod, ZeroShot, ZeroShotMethod
from medconsist.mri.prepare import prepare
from medconsist.mri.readers import read_kspace
from medconsist.mri.volumes.volume import Measured

TINY = CirimConfig(cascades=1, steps=1, features=2, consistency="explicit")


class Counting(ZeroShotMethod):
    """Remembers the masks that it adapted to."""

    seen: list[torch.Tensor] = []  # noqa: RUF012  a frozen dataclass takes no other

    def fixed(self, measurement: Measured) -> AdaptedMethod:
        self.seen.append(measurement.mask)
        return super().fixed(measurement)


@pytest.mark.data
def test_a_network_adapts_once_in_a_draw_and_never_to_what_is_withheld(data_dir: Path) -> None:
    prepared = prepare(read_kspace(data_dir / REAL_SLICE))
    method = Counting(TINY, ZeroShot(steps=2, evaluate_every=1))
    families = {"zerofilled": CLASSICAL["zerofilled"], "tiny": (method,)}
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    found = one_draw(prepared, families, generators[0])
    again = one_draw(prepared, {"zerofilled": CLASSICAL["zerofilled"]}, generators[1])
    assert found["zerofilled"].error == again["zerofilled"].error
    (mask,) = Counting.seen
    outside = int((prepared.measurement.mask & ~prepared.calibration).sum())
    withheld = int(prepared.measurement.mask.sum()) - int(mask.sum())
    assert withheld == pytest.approx(0.1 * outside, abs=1)
    assert found["tiny"].error.n == withheld * prepared.measurement.samples.shape[1]
    assert isinstance(found["tiny"].method, AdaptedMethod)
    assert found["tiny"].cpu_s > 0


def test_the_networks_of_the_table_are_the_shipped_one_the_adapted_one_and_one_from_scratch() -> (
    None
):
    methods = network_methods(seed=3, steps=7)
    assert [method.name for method in methods.values()] == list(methods)
    adapted, scratch = list(methods.values())[1:]
    assert isinstance(adapted, ZeroShotMethod)
    assert isinstance(scratch, ZeroShotMethod)
    assert adapted.weights is not None
    assert scratch.weights is None
    assert adapted.settings.steps == scratch.settings.steps == 7
    assert adapted.seed == scratch.seed == 3


def test_no_draw_and_no_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="draws got 0"):
        real_learned_table(tmp_path / "none.npy", seed=0, draws=0)
    with pytest.raises(MissingInputError, match="is not there; pass --data"):
        run_bench(data=tmp_path, seed=0)
