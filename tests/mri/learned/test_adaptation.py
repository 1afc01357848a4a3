"""Who judges an adaptation: samples that had no part in it, block by block of k-space."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.evidence.withheld import WithheldConfig, withhold
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.choice import Choice
from medconsist.mri.learned.method import LearnedMethod, images_of
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.learned.sample_blocks import Parts, divide_by_blocks, sample_blocks
from medconsist.mri.learned.sample_splits import split_samples
from medconsist.mri.learned.zero_shot import AdaptedMethod, ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.training.draws import generator_for
from tests.mri.cirim.scans_48 import SIDE, scans

CONFIG = CirimConfig(cascades=4, steps=1, features=8, consistency="explicit")
SETTINGS = ZeroShot(
    steps=20, evaluate_every=5, calibration=SIDE, precision="32", lr=5e-3, label="adapted"
)


def untrained() -> LearnedModel:
    """A start that any scan can better."""
    network = Cirim(CONFIG, generator=Generator().manual_seed(0))
    frozen = network.eval().requires_grad_(requires_grad=False)
    return LearnedModel(frozen, "small", "0" * 64, {})


def parts_of(scan: Measurement) -> tuple[Tensor, Parts]:
    """What the method itself withholds with seed 0."""
    gamma = split_samples(scan, SETTINGS.gamma, generator_for(0, 1))
    return gamma.keep, divide_by_blocks(gamma, sample_blocks(scan.mask), generator_for(0, 3))


def judges_who_say(scan: Measurement, samples: Tensor) -> Measurement:
    """The scan with other values where it is judged."""
    _, parts = parts_of(scan)
    assert parts.judge is not None
    return scan.with_samples(torch.where(parts.judge[:, None], samples, scan.samples))


def state(method: AdaptedMethod) -> dict[str, Tensor]:
    return method.model.network.state_dict()


def test_a_gain_that_the_judges_see_is_accepted() -> None:
    (scan,) = scans(1)
    found = ZeroShotMethod(untrained(), SETTINGS).fixed(scan)
    judged = found.adaptation.judged
    assert judged is not None
    assert judged.accepted
    assert found.adaptation.kept_step > 0
    assert judged.fall > (judged.needed or 0) * judged.se > 0
    assert 1 - judged.fall == pytest.approx((judged.after / judged.before) ** 2)
    assert "was adapted to this scan" in found.notes[0]
    assert "standard error" in found.notes[0]
    assert found.name == "small-adapted"
    unseen = scan.maps.abs().sum((1, 2)) == 0  # no sample speaks of it
    assert unseen.any()
    assert torch.equal(found(scan)[unseen], LearnedMethod(untrained())(scan)[unseen])


def test_a_change_that_the_judges_deny_is_refused_and_the_start_kept_bit_by_bit() -> None:
    """The judges say nearly what the start predicts: what else gains is worse for them."""
    (scan,) = scans(1)
    start = untrained()
    keep, _ = parts_of(scan)
    seen = scan.visible(keep)
    images = images_of(start.network, seen, scale=rss_scale(seen.samples))
    denied = judges_who_say(scan, 1.01 * scan.operator(images))
    found = ZeroShotMethod(start, SETTINGS).fixed(denied)
    judged = found.adaptation.judged
    assert min(found.adaptation.gamma) < found.adaptation.gamma[0]
    assert judged is not None
    assert not judged.accepted
    assert judged.fall < 0
    assert found.adaptation.kept_step == 0
    before = start.network.state_dict()
    assert state(found).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state(found).items())
    assert torch.equal(found(denied), LearnedMethod(start)(denied))
    assert "refused, and the network was left as it was" in found.notes[0]
    assert "rose from" in found.notes[0]


def test_without_a_test_the_refused_step_is_taken() -> None:
    (scan,) = scans(1)
    denied = judges_who_say(scan, -scan.samples)
    always = ZeroShotMethod(untrained(), replace(SETTINGS, level=None)).fixed(denied).adaptation
    assert always.kept_step > 0
    assert always.judged is not None
    assert always.judged.accepted
    assert always.judged.passes(None)


def test_judges_train_nothing_and_choose_no_step() -> None:
    (scan,) = scans(1)
    method = ZeroShotMethod(untrained(), replace(SETTINGS, steps=10, level=None))
    first = method.fixed(scan)
    second = method.fixed(judges_who_say(scan, 1.1 * scan.samples))
    assert first.adaptation.gamma == second.adaptation.gamma
    assert first.adaptation.judged != second.adaptation.judged
    for name, value in state(first).items():
        assert torch.equal(value, state(second)[name])


def test_withheld_evidence_never_enters_the_adaptation() -> None:
    (scan,) = scans(1)
    split = withhold(
        scan.mask,
        keep_region=torch.zeros_like(scan.mask),
        config=WithheldConfig(unit="point"),
        generator=Generator().manual_seed(1),
    )
    other = scan.with_samples(torch.where(split.hold[:, None], 3 + 0j, scan.samples))
    method = ZeroShotMethod(untrained(), replace(SETTINGS, steps=5))
    first, second = (method.fixed(one.visible(split.keep)) for one in (scan, other))
    assert first.model.sha256 == second.model.sha256
    assert first.adaptation.judged == second.adaptation.judged


def test_the_everyday_settings_train_biases_and_recurrent_weights_alone() -> None:
    (scan,) = scans(1)
    start = untrained()
    settings = replace(ZeroShot.everyday(), calibration=SIDE, steps=2, level=None)
    found = ZeroShotMethod(start, settings).fixed(scan)
    before = start.network.state_dict()
    moved = {name for name, value in state(found).items() if not torch.equal(value, before[name])}
    assert all(name.endswith((".bias", ".recurrent")) for name in moved)
    assert found.name == "small-adapted"


def test_the_blocks_of_a_mask_of_lines_are_lines_with_their_mirror_images() -> None:
    mask = torch.zeros(1, 6, 8, dtype=torch.bool)
    mask[:, :, [0, 3, 4, 5, 7]] = True
    blocks = sample_blocks(mask)
    assert blocks.tolist() == [[4, 3, 2, 1, 0, 1, 2, 3]] * 6
    assert sample_blocks(mask.mT).tolist() == blocks.mT.tolist()


def test_opposite_samples_of_a_plane_are_in_one_block_and_sectors_are_of_one_size() -> None:
    mask = torch.rand(1, 65, 65, generator=Generator().manual_seed(0)) < 0.5
    blocks = sample_blocks(mask)
    off_axis = torch.ones_like(blocks, dtype=torch.bool)
    off_axis[32, :] = off_axis[:, 32] = False  # -0.0 and pi: the seam of the half turn
    assert torch.equal(blocks[off_axis], blocks.flip(0, 1)[off_axis])
    counts = blocks.flatten().bincount()
    assert len(counts) == 24
    assert counts.max() < 3 * counts.min()  # corners reach further by the root of 2


def test_both_parts_of_gamma_have_blocks_of_their_own_near_and_far() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, :, ::4] = True
    config = replace(SETTINGS, calibration=0, validation_fraction=0.5).gamma
    measured = torch.where(mask[:, None], 1 + 0j, 0).expand(1, 2, -1, -1)
    scan = Measurement(measured, mask, torch.ones(1, 1, 2, 64, 64) + 0j, 0.1)
    gamma = split_samples(scan, config, Generator().manual_seed(0))
    blocks = sample_blocks(mask)
    parts = divide_by_blocks(gamma, blocks, Generator().manual_seed(0))
    assert parts.judge is not None
    assert torch.equal(parts.select | parts.judge, gamma.hold)
    chosen, judging = (torch.unique(blocks[part[0]]) for part in (parts.select, parts.judge))
    assert not torch.isin(chosen, judging).any()
    # dealt in pairs of neighbours, 4 samples apart: the means differ by less than that
    assert abs(chosen.double().mean() - judging.double().mean()) < 5


def test_withheld_samples_in_too_few_blocks_are_refused() -> None:
    (scan,) = scans(1)
    gamma = split_samples(scan, SETTINGS.gamma, Generator().manual_seed(0))
    with pytest.raises(NothingToWithholdError, match="lie in 1 blocks of k-space, and 4 are"):
        divide_by_blocks(gamma, torch.zeros(48, 48).long(), Generator().manual_seed(0))


def test_the_command_line_adapts_shortly_or_long_and_never_both() -> None:
    short = Choice(adapt=True, seed=3).method()
    assert isinstance(short, ZeroShotMethod)
    assert (short.name, short.settings, short.seed) == ("cirim-adapted", ZeroShot.everyday(), 3)
    assert Choice(zero_shot=True).method().name == "cirim-zero-shot"
    assert type(Choice().method()) is LearnedMethod  # off unless it is asked for
    with pytest.raises(RefusedInputError, match="got --zero-shot and --adapt"):
        Choice(zero_shot=True, adapt=True).method()
    with pytest.raises(RefusedInputError, match="--adapt goes with --method cirim alone"):
        Choice(adapt=True).refuse_unused("cs")


def test_a_level_that_is_no_level_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"got level 0\.7 and label 'zero-shot'"):
        ZeroShot(level=0.7)
