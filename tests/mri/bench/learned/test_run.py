"""The whole table, with networks that are tiny and untrained, on two scans of one cell."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.cells import CELLS
from medconsist.mri.bench.learned.run import NETWORKS, TableConfig, learned_table
from medconsist.mri.bench.learned.scans import draw_scan, measured_in
from medconsist.mri.bench.learned.scores import Reconstruct
from medconsist.mri.bench.learned.tuning import FAMILIES, Families
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import CgSense, CompressedSensing
from medconsist.results.bench import BenchTable

POINTS = CELLS[3:]
SEEN: dict[float, list[Tensor]] = {}


class Watched(CgSense):
    """CG-SENSE that keeps what it was given."""

    def solve(self, measurement: Measurement) -> Tensor:
        SEEN.setdefault(self.lambda_, []).append(measurement.samples)
        return super().solve(measurement)


WEIGHTS: Families = {
    "cgsense": (Watched(lambda_=1e-4), Watched(lambda_=0.02), Watched(lambda_=10.0)),
    "cs": (CompressedSensing(iterations=12), CompressedSensing(lambda_=1.0, iterations=12)),
}


def tiny(config: CirimConfig) -> Reconstruct:
    network = Cirim(config, generator=torch.Generator().manual_seed(0)).requires_grad_(False)

    def solve(measurement: Measurement) -> Tensor:
        sigma = torch.tensor([measurement.sigma])
        images: Tensor = network(measurement.samples, measurement.mask, measurement.maps, sigma)
        return images[-1, -1][:, 0]

    return solve


def networks() -> dict[str, Reconstruct]:
    irim = CirimConfig(cascades=1, steps=1, features=4)
    cirim = replace(irim, cascades=2)
    return {
        "rim": tiny(replace(irim, unit="gru")),
        "irim": tiny(irim),
        "cirim": tiny(cirim),
        "cirim-explicit": tiny(replace(cirim, consistency="explicit")),
    }


@pytest.fixture(scope="module")
def table() -> BenchTable:
    SEEN.clear()
    config = TableConfig(draws=2, validation_draws=2, cells=POINTS, families=WEIGHTS)
    return learned_table(networks(), config)


@pytest.mark.usefixtures("table")
def test_no_weight_is_chosen_on_a_test_scan() -> None:
    """What lost has seen the two scans of validation alone; what won, two others after them."""
    lost, won = SEEN[10.0], SEEN[0.02]
    expected = [draw_scan("validation", number) for number in range(2)]
    wanted = [measured_in(POINTS, scan)[0].measurement.samples for scan in expected]
    assert [torch.equal(*pair) for pair in zip(lost, wanted, strict=True)] == [True, True]
    assert [torch.equal(*pair) for pair in zip(won[:2], wanted, strict=True)] == [True, True]
    assert len(won) == 4
    assert not any(torch.equal(one, other) for one in won[2:] for other in wanted)


def test_all_methods_stand_in_the_table(table: BenchTable) -> None:
    said = {row.case.split(", ")[2] for row in table.rows if row.case.count(", ") >= 2}
    assert {"zerofilled", "cgsense", "cs", *NETWORKS} <= said


def test_every_weight_is_chosen_and_said(table: BenchTable) -> None:
    said = {row.case for row in table.rows}
    assert "simulated, 2-D 8x, cgsense, lambda 0.02" in said
    assert "simulated, 2-D 8x, cs, lambda 0.005, edge of the grid" in said


def test_compressed_sensing_is_ahead_of_untrained_networks(table: BenchTable) -> None:
    rows = [row for row in table.rows if "cirim less cs" in row.case]
    assert len(rows) == 3
    assert all(row.case.endswith("cs ahead") for row in rows)
    targets = {target.name: target.met for target in table.targets}
    assert targets["simulated, 2-D 8x, cirim above cs in ssim"] is False


def test_every_row_of_quality_is_over_the_same_scans(table: BenchTable) -> None:
    rows = [row for row in table.rows if row.metric in ("ssim", "psnr", "nmse")]
    assert {(row.n, row.unit_of_analysis) for row in rows} == {(2, "simulated scan")}


def test_progress_and_few_draws_are_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    families = {"cgsense": (CgSense(lambda_=0.02, iterations=1),)}
    learned_table({}, TableConfig(draws=2, validation_draws=2, cells=POINTS, families=families))
    said = [record.getMessage() for record in caplog.records]
    assert "test scan 2 of 2" in said
    assert "fewer than 10 scans: the intervals are too narrow" in said


@pytest.mark.data
def test_an_unseen_anatomy_has_rows_of_its_own(data_dir: Path) -> None:
    config = TableConfig(
        draws=2,
        validation_draws=2,
        cells=POINTS,
        unseen_cells=POINTS,
        families={"cgsense": WEIGHTS["cgsense"][1:2]},
        tissue=data_dir / "mri" / "koma_brain_phantom.h5",
    )
    rows = learned_table({}, config).rows
    unseen = [row for row in rows if row.case.startswith("simulated from an unseen anatomy")]
    assert {row.unit_of_analysis for row in unseen} == {"simulated scan of one anatomy"}
    seen = {row.metric: row.value for row in rows if row.case == "simulated, 2-D 8x, zerofilled"}
    assert all(row.value != seen[row.metric] for row in unseen if "zerofilled" in row.case)


def test_a_grid_is_in_order_and_has_six_weights() -> None:
    for members in FAMILIES.values():
        weights = [member.lambda_ for member in members]
        assert len(weights) == 6
        assert weights == sorted(weights)


@pytest.mark.parametrize("draws", [1, 0, -3])
def test_one_scan_is_no_table(draws: int) -> None:
    with pytest.raises(RefusedInputError, match=f"got {draws} draws .* at least 2"):
        TableConfig(draws=draws)


@pytest.mark.parametrize("name", ["draws", "validation_draws"])
def test_more_scans_than_there_are_seeds_are_refused(name: str) -> None:
    many: dict[str, Any] = {name: 2**16 + 1}
    with pytest.raises(RefusedInputError, match="number got 65536; allowed"):
        TableConfig(**many)
