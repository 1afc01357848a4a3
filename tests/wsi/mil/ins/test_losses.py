"""The formulas of INS against loops written from its description."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.consistency.prototypes import Prototypes
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.contrasts import family_contrast, own_key_contrast
from medconsist.wsi.mil.ins.instances import InstanceModel
from medconsist.wsi.mil.ins.memory import InsMemory, InstanceViews
from medconsist.wsi.mil.ins.soft_labels import SoftLabels, named_class

DIM, WIDTH, TRAINING = 6, 8, 40
CLOSE = 1e-5  # sums of float32 in another order


def unit(n: int, generator: Generator) -> Tensor:
    return functional.normalize(torch.randn(n, WIDTH, generator=generator), dim=1)


def config(**more: float) -> InsConfig:
    return InsConfig(**({"projection": WIDTH, "bank": 24, "warmup": 1, "phi_steps": 4} | more))  # type: ignore[arg-type]  # numbers by name


def model(settings: InsConfig, seed: int = 0) -> InstanceModel:
    generator = Generator().manual_seed(seed)
    encoder = nn.Linear(DIM, WIDTH)
    nn.init.normal_(encoder.weight, generator=generator)
    nn.init.zeros_(encoder.bias)
    return InstanceModel(encoder, WIDTH, settings, generator=generator)


def views(step: int, generator: Generator, n: int = 10) -> InstanceViews:
    weak, strong = (torch.randn(n, DIM, generator=generator) for _ in range(2))
    return InstanceViews(weak, strong, torch.randperm(TRAINING, generator=generator)[:n], step)


def test_the_contrast_of_the_warmup_is_that_of_naive_loops(generator: Generator) -> None:
    queries, keys, bank = (unit(n, generator) for n in (5, 5, 7))
    total = 0.0
    for q, k in zip(queries, keys, strict=True):
        own = math.exp(float(q @ k) / 0.07)
        total -= math.log(own / (own + sum(math.exp(float(q @ b) / 0.07) for b in bank)))
    found = own_key_contrast(queries, keys, bank, tau=0.07)
    assert float(found) == pytest.approx(total / 5, rel=CLOSE)
    assert float(own_key_contrast(queries, keys, bank[:0], tau=0.07)) == 0


@pytest.mark.parametrize("entries", [0, 7])
def test_the_contrast_of_families_is_that_of_naive_loops(
    entries: int, generator: Generator
) -> None:
    queries, keys, bank = (unit(n, generator) for n in (5, 5, entries))
    named, old = torch.tensor([0, 1, 0, 0, 0]), torch.tensor([0, 1, 1, 0, 0, 0, 0])[:entries]
    everything, classes = torch.cat([queries, keys, bank]), torch.cat([named, named, old]).tolist()
    total = 0.0
    for i, q in enumerate(queries):
        powers = [math.exp(float(q @ e) / 0.07) for e in everything]
        family = [j for j, c in enumerate(classes) if c == classes[i] and j != i]
        assert 5 + i in family  # its own key
        others = sum(p for j, p in enumerate(powers) if j != i)
        total -= sum(math.log(powers[j] / others) for j in family) / len(family)
    found = family_contrast(queries, keys, bank, named, old, tau=0.07)
    assert float(found) == pytest.approx(total / 5, rel=CLOSE)


def test_an_anchor_of_a_class_of_its_own_still_has_its_key(generator: Generator) -> None:
    queries, keys = unit(3, generator).requires_grad_(), unit(3, generator)
    none = torch.zeros(0, dtype=torch.int64)
    loss = family_contrast(queries, keys, keys[:0], torch.tensor([0, 0, 1]), none, tau=0.07)
    assert bool(loss.detach().isfinite())
    (slope,) = torch.autograd.grad(loss, queries)
    assert bool(slope.isfinite().all())
    assert float(slope[2].norm()) > 0


def test_one_batch_update_of_prototypes_is_the_mean_of_the_loop_over_all_orders(
    generator: Generator,
) -> None:
    queries, named = unit(5, generator), torch.tensor([0, 1, 1, 0, 1])
    prototypes = Prototypes(2, WIDTH, 0.9)
    prototypes.update(unit(2, generator), torch.tensor([0, 1]))
    start = prototypes.vectors.clone()
    ends = []
    for order in itertools.permutations(range(5)):
        moving = start.clone()
        for row in order:
            moving[named[row]] = 0.9 * moving[named[row]] + 0.1 * queries[row]
        ends.append(moving)
    spread = torch.stack(ends).std(0).max()
    prototypes.update(queries, named)
    wanted = functional.normalize(torch.stack(ends).mean(0), dim=1)
    assert torch.allclose(prototypes.vectors, wanted, atol=1e-6)  # float32
    assert float(spread) > 1e-3  # the loop itself depends on the order


def test_a_step_is_that_of_the_description(generator: Generator) -> None:
    settings = config()
    instances = model(settings)
    allowed = torch.arange(TRAINING) % 2 == 1
    memory = InsMemory(instances, allowed, settings)
    soft = torch.where(allowed, 0.5, 0.0)
    for step in range(4):
        batch = views(step, generator)
        before, old = instances.prototypes.vectors.clone(), memory.bank.read()
        with torch.no_grad():
            found = memory.losses(instances, batch)
            _, logits, queries = instances(batch.weak)
            _, keys = memory.teacher(batch.strong)
        named, terms = [], []
        for i, number in enumerate(batch.number.tolist()):
            candidates = torch.tensor([1.0, float(allowed[number])])
            named.append(int((logits[i].softmax(0) * candidates).argmax()))
            if step >= 1:
                score = (queries[i] @ before.T).softmax(0) * candidates
                share = 0.95 - 0.15 * min((step - 1) / 4, 1)
                soft[number] = share * soft[number] + (1 - share) * int(score.argmax())
            if not allowed[number]:
                soft[number] = 0.0
            log_p = logits[i].log_softmax(0)
            s = soft[number]
            terms.append(float(-(1 - s) * log_p[0] - s * log_p[1]))
        wanted = torch.tensor(named)
        assert float(found["instance"]) == pytest.approx(sum(terms) / len(terms), rel=CLOSE)
        assert torch.allclose(memory.soft_labels.positive, soft)
        contrast = (
            own_key_contrast(queries, keys, old["z"], tau=0.07)
            if step < 1
            else family_contrast(queries, keys, old["z"], wanted, old["named"], tau=0.07)
        )
        assert float(found["contrast"]) == pytest.approx(float(contrast), rel=CLOSE)
        assert len(memory.bank.read()["z"]) == min(10 * (step + 1), 24)
        with torch.no_grad():
            torch._foreach_mul_(list(instances.parameters()), 1.1)


def test_soft_labels_use_the_prototypes_as_they_were_before_the_step(generator: Generator) -> None:
    settings = config(warmup=0)
    instances = model(settings)
    memory = InsMemory(instances, torch.ones(TRAINING, dtype=torch.bool), settings)
    batch = views(0, generator)
    with torch.no_grad():
        queries = instances(batch.weak).projection
    # seen so far: class 1 alone, so that the scores of all that point its way name it
    instances.prototypes.update(queries.mean(0, keepdim=True), torch.tensor([1]))
    nearer = instances.prototypes.logits(queries)[:, 1] > 0
    memory.losses(instances, batch)
    moved = memory.soft_labels.positive[batch.number]
    assert torch.equal(moved > 0.5, nearer)


def test_phi_falls_from_its_first_to_its_last_value_after_the_warmup() -> None:
    settings = InsConfig(warmup=10, phi_steps=30)
    assert [settings.phi(step) for step in (0, 10, 40, 999)] == [0.95, 0.95, 0.8, 0.8]
    assert settings.phi(25) == pytest.approx(0.875)


def test_an_instance_of_a_negative_slide_is_negative_whatever_names_it() -> None:
    labels = SoftLabels(torch.tensor([False, True, True]))
    assert labels(torch.arange(3)).tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5]]
    labels.move(torch.tensor([0, 2]), torch.tensor([1, 1]), phi=0.9)
    assert labels.positive.tolist() == pytest.approx([0, 0.5, 0.55])
    scores, allowed = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]]), labels.may_be_positive
    assert named_class(scores, allowed).tolist() == [0, 0, 1]


def test_the_least_share_names_the_best_of_those_that_may_be_positive() -> None:
    odds = torch.tensor([5.0, -3.0, -1.0, -2.0, -4.0])
    scores = torch.stack([torch.zeros(5), odds], 1)
    allowed = torch.tensor([False, True, True, True, True])
    assert named_class(scores, allowed).tolist() == [0, 0, 0, 0, 0]
    assert named_class(scores, allowed, least_positive=0.3).tolist() == [0, 0, 1, 1, 0]
    assert named_class(scores, allowed, least_positive=1).tolist() == [0, 1, 1, 1, 1]
    nobody = torch.zeros(5, dtype=torch.bool)
    assert named_class(scores, nobody, least_positive=0.3).tolist() == [0] * 5


def test_a_step_under_bf16_is_near_that_of_float32() -> None:
    found = []
    for enabled in (False, True):
        settings = config()
        instances = model(settings)
        memory = InsMemory(instances, torch.ones(TRAINING, dtype=torch.bool), settings)
        for step in range(3):
            batch = views(step, Generator().manual_seed(step))
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                parts = memory.losses(instances, batch)
        assert parts["contrast"].dtype == memory.bank.read()["z"].dtype == torch.float32
        found.append([float(parts[name]) for name in ("instance", "contrast")])
    assert found[0] == pytest.approx(found[1], rel=0.05)  # 8 bits, over a temperature of 0.07


def test_two_processes_keep_the_soft_labels_of_one(tmp_path: Path) -> None:
    worker = Path(__file__).parent / "soft_labels_worker.py"
    subprocess.run([sys.executable, str(worker), str(tmp_path)], check=True, timeout=120)
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    alone = SoftLabels(torch.arange(6) % 2 == 1)
    alone.move(torch.tensor([1, 0, 5, 3]), torch.tensor([1, 1, 0, 1]), phi=0.9)
    for state in states:
        assert torch.equal(state, alone.positive)


def test_neither_keys_nor_prototypes_get_a_gradient_and_the_teacher_moves_once_a_step(
    generator: Generator,
) -> None:
    settings = config(momentum=0.5)
    instances = model(settings)
    memory = InsMemory(instances, torch.ones(TRAINING, dtype=torch.bool), settings)
    for step in (0, 1, 1):
        parts = memory.losses(instances, views(step, generator))
    settings.total(parts, torch.zeros(())).backward()  # type: ignore[no-untyped-call]  # untyped in torch
    assert all(p.grad is None for p in memory.teacher.parameters())
    assert int(memory.teacher.updates) == 2
    assert all(p.grad is not None and p.grad.isfinite().all() for p in instances.parameters())
