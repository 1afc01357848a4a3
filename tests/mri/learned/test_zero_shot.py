"""Adaptation to one scan: what it sees, what it keeps, and that it does no harm."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import ConvergenceError, NothingToWithholdError, RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.learned.sample_splits import split_samples
from medconsist.mri.learned.zero_shot import ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import Trained, ZeroShot
from medconsist.training.draws import generator_for
from tests.mri.cirim.random_scan import random_scan
from tests.mri.cirim.scans_48 import SIDE, scans

TINY = CirimConfig(cascades=1, steps=2, features=4)
SMALL = CirimConfig(cascades=4, steps=1, features=8, consistency="explicit")
QUICK = ZeroShot(steps=4, evaluate_every=2, calibration=0, precision="32", lr=1e-3)


def model(config: CirimConfig = TINY, seed: int = 0) -> LearnedModel:
    network = Cirim(config, generator=Generator().manual_seed(seed))
    frozen = network.eval().requires_grad_(requires_grad=False)
    return LearnedModel(frozen, "small", "0" * 64, {"trained_on": "simulation"})


def weights(method: ZeroShotMethod, scan: Measurement) -> dict[str, Tensor]:
    return method.fixed(scan).model.network.state_dict()


def test_gamma_never_enters_training(generator: torch.Generator) -> None:
    """Change y on Gamma: the weights before selection, here after the one look, are the same."""
    scan = random_scan(generator)
    always_last = replace(QUICK, steps=2)
    method = ZeroShotMethod(TINY, always_last, seed=3)
    gamma = split_samples(scan, always_last.gamma, generator_for(3, 1))
    other = scan.with_samples(torch.where(gamma.hold[:, None], 1.1 * scan.samples, scan.samples))
    first, second = method.fixed(scan), method.fixed(other)
    assert first.adaptation.kept_step == second.adaptation.kept_step == 2
    assert first.adaptation.gamma != second.adaptation.gamma
    for name, value in first.model.network.state_dict().items():
        assert torch.equal(value, second.model.network.state_dict()[name])


def test_the_network_that_is_given_is_not_changed(generator: torch.Generator) -> None:
    start = model()
    before = {name: value.clone() for name, value in start.network.state_dict().items()}
    adapted = ZeroShotMethod(start, replace(QUICK, lr=1e-2)).fixed(random_scan(generator))
    for name, value in start.network.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(p.requires_grad for p in adapted.model.network.parameters())


def test_the_same_seed_gives_the_same_image_and_another_seed_another(
    generator: torch.Generator,
) -> None:
    scan = random_scan(generator, slices=2)
    first, again, other = (ZeroShotMethod(TINY, QUICK, seed=seed)(scan) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_what_is_fixed_trains_no_more_and_gives_what_solve_gives(
    generator: torch.Generator,
) -> None:
    scan = random_scan(generator)
    method = ZeroShotMethod(model(), QUICK)
    fixed = method.fixed(scan)
    assert torch.equal(fixed.solve(scan), method.solve(scan))
    assert fixed.fixed(scan).model is fixed.model
    changed = scan.with_samples(2 * scan.samples)
    fixed(changed)
    assert torch.equal(fixed.solve(scan), method.solve(scan))


def test_adaptation_lowers_the_error_on_gamma() -> None:
    (scan,) = scans(1)
    settings = replace(QUICK, steps=60, evaluate_every=20, calibration=SIDE, lr=5e-3)
    found = ZeroShotMethod(model(SMALL), settings).fixed(scan).adaptation
    assert min(found.gamma) < 0.8 * found.gamma[0]
    assert found.kept_step > 0
    assert "fell from" in found.note


def test_a_start_that_adaptation_does_not_improve_is_kept(generator: torch.Generator) -> None:
    """Samples of noise alone: nothing can be predicted, and what looks better is chance."""
    scan = random_scan(generator)
    noise = torch.randn(scan.samples.shape, dtype=torch.complex64, generator=generator)
    start = model()
    with torch.no_grad():
        for parameter in start.network.parameters():
            parameter.zero_()
    method = ZeroShotMethod(start, replace(QUICK, lr=1e-4))
    fixed = method.fixed(scan.with_samples(noise))
    assert fixed.adaptation.kept_step == 0
    for name, value in fixed.model.network.state_dict().items():
        assert torch.equal(value, start.network.state_dict()[name])
    assert fixed.notes == (fixed.adaptation.note,)
    assert "left as it was" in fixed.adaptation.note


def test_it_stops_after_looks_without_a_new_minimum(generator: torch.Generator) -> None:
    settings = replace(QUICK, steps=100, evaluate_every=1, patience=3, lr=10.0, schedule="constant")
    found = ZeroShotMethod(TINY, settings).fixed(random_scan(generator)).adaptation
    least = found.gamma.index(min(found.gamma))
    assert found.kept_step == least
    assert found.steps == least + 3


@pytest.mark.parametrize(
    ("trained", "moves"),
    [
        ("per_channel", {"conv1.bias", "unit1.input.bias", "conv2.bias", "unit2.input.bias"}),
        ("last_cascade", {"conv1.weight", "out.weight"}),
    ],
)
def test_only_what_is_asked_for_is_trained(trained: Trained, moves: set[str]) -> None:
    (scan,) = scans(1)
    config = replace(SMALL, cascades=2)
    settings = replace(QUICK, trained=trained, calibration=SIDE, lr=5e-3)
    after = weights(ZeroShotMethod(config, settings), scan)
    before = Cirim(config, generator=generator_for(0, 0)).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    first, last = (
        {name.removeprefix(f"cascades.{k}.") for name in changed if f"cascades.{k}." in name}
        for k in (0, 1)
    )
    assert moves <= last
    assert (first == set()) == (trained == "last_cascade")
    if trained == "per_channel":
        assert not any(name.endswith(".weight") for name in changed)


def test_several_slices_and_map_sets_are_reconstructed(generator: torch.Generator) -> None:
    scan = random_scan(generator, slices=2, sets=2)
    assert ZeroShotMethod(TINY, QUICK).solve(scan).shape == (2, 2, 12, 9)


def test_bf16_and_32_bits_agree_about_the_way(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    first, second = (
        ZeroShotMethod(TINY, replace(QUICK, precision=precision)).fixed(scan).adaptation.gamma
        for precision in ("bf16", "32")
    )
    # bf16 keeps 8 bits of each product: errors of a relative 1e-2 in the image, less in its norm
    assert first == pytest.approx(second, rel=3e-2)


def test_the_config_names_weights_settings_and_seed(generator: torch.Generator) -> None:
    method = ZeroShotMethod(model(), QUICK, seed=5)
    config = method.as_config()
    assert (config["name"], config["weights_sha256"]) == ("small-zero-shot", "0" * 64)
    assert (config["zero_shot"]["steps"], config["seed"]) == (4, 5)
    assert ZeroShotMethod(TINY, QUICK).as_config()["weights_sha256"] is None
    fixed = method.fixed(random_scan(generator))
    assert fixed.as_config().items() >= config.items()
    assert fixed.as_config()["adapted_sha256"] == fixed.model.sha256
    assert fixed.model.simulation_trained is False
    assert fixed.model.about["trained_on"] == "simulation, then this scan"


def test_a_scan_without_withheld_samples_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator, shape=(24, 24))
    mask = torch.zeros(1, 24, 24, dtype=torch.bool)
    mask[:, 4:20, 4:20] = True
    full = replace(scan, mask=mask).with_samples(torch.ones(1, 3, 24, 24) + 0j)
    with pytest.raises(NothingToWithholdError, match="fraction"):
        ZeroShotMethod(TINY, replace(QUICK, calibration=24)).fixed(full)


def test_a_loss_that_is_not_finite_stops_with_a_reason(generator: torch.Generator) -> None:
    start = model()
    with torch.no_grad():
        next(start.network.parameters()).fill_(1e38)
    with pytest.raises(ConvergenceError, match="lower learning rate"):
        ZeroShotMethod(start, QUICK).fixed(random_scan(generator))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="patience"):
        ZeroShot(patience=0)
    with pytest.raises(RefusedInputError, match=r"clip got -1\.0; allowed: a positive number"):
        ZeroShot(clip=-1.0)  # would climb
    with pytest.raises(RefusedInputError, match="steps"):
        ZeroShot(steps=0)
    with pytest.raises(RefusedInputError, match="fraction"):
        ZeroShot(fraction=0.0)


def test_the_published_settings_are_those_of_zs_ssl() -> None:
    published = ZeroShot.published()
    assert (published.pairs, published.fraction, published.validation_fraction) == (25, 0.4, 0.2)
    assert published.steps == 300 * published.pairs
    assert (published.evaluate_every, published.patience) == (25, 25)
