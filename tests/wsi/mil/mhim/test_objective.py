"""MHIM-MIL as its specification words it: the step, the teacher, the look-ahead, the resume."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.training.draws import Place
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig
from medconsist.training.weights import read_weights
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.config import PRESETS, MhimConfig
from medconsist.wsi.mil.mhim.masking import MaskConfig
from medconsist.wsi.mil.mhim.merge import MergeConfig
from medconsist.wsi.mil.mhim.network import MhimNetwork, student_state, teacher_momentum
from medconsist.wsi.mil.mhim.objective import MhimBags, MhimObjective
from medconsist.wsi.mil.mhim.scores import ClassProbability
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.dsmil import Dsmil
from medconsist.wsi.mil.models.transmil import TransMil
from medconsist.wsi.mil.objective import MilObjective, Sampling, all_bags
from tests.wsi.mil.mhim.toy import (
    DIM,
    WIDTH,
    baseline,
    cohort,
    config,
    make,
    make_plain,
    objective,
    stored,
)

SHORT = TrainConfig(steps=6, lr=1e-2, clip=None, checkpoint_every=2)
SMALL_MERGE = MergeConfig(queries=2, heads=2, head_width=4, momentum=0.9)
V2: dict[str, Any] = {"scores": "class_aware", "merge": SMALL_MERGE, "student_start": "random"}


def run(task: MhimObjective, folder: Path, settings: TrainConfig = SHORT, **more: Any) -> Any:
    return fit(task, settings, folder, recipe={"toy": 1}, progress=False, **more)


def drawn(task: MhimObjective, step: int = 0, seed: int = 1) -> MhimBags:
    return task.draw_at(Generator().manual_seed(seed), Place(step=step))


def built(task: MhimObjective) -> MhimNetwork:
    return task.build(Generator().manual_seed(0))


def learn(task: MhimObjective, network: MhimNetwork, batch: MhimBags) -> None:
    """Leave the gradients of one batch."""
    loss = task.losses(network, batch)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())


# The step


class Naive:
    """MHIM-MIL v1 over plain ABMIL as the specification writes it, one bag a step, in plain torch.

    Linear - ReLU - attention Linear - ReLU - Linear without biases - softmax; no dropout. The
    masks are those without randomness (rho = 1, r = 0).
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, settings: MhimConfig) -> None:
        self.student = {n: p.detach().clone().requires_grad_() for n, p in named(student)}
        self.teacher = {n: p.detach().clone() for n, p in named(teacher)}
        self.config = settings
        self.adam = torch.optim.Adam(self.student.values(), lr=SHORT.lr)

    @staticmethod
    def say(w: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = (x @ w["trunk.0.weight"].T + w["trunk.0.bias"]).relu()
        a = (h @ w["score.values.weight"].T).relu() @ w["score.weights.weight"].T
        a = a[:, 0].exp() / a[:, 0].exp().sum()
        z = (a[:, None] * h).sum(0)
        return z, a, w["classifier.weight"] @ z + w["classifier.bias"]

    def step(self, i: int, total: int, x: Tensor, y: int) -> float:
        mask, n = self.config.mask, len(x)
        with torch.no_grad():
            z_t, score, _ = self.say(self.teacher, x)
        h_i = 0.5 * mask.high * (1 + math.cos(math.pi * i / total))
        by_score = sorted(range(n), key=lambda j: float(score[j]))
        hidden = {*by_score[: math.ceil(mask.low * n)], *by_score[n - math.ceil(h_i * n) :]}
        kept = [j for j in range(n) if j not in hidden]
        z_s, _, logits = self.say(self.student, x[kept])
        target = (z_t / 0.1).softmax(0)
        agreement = -(target * (z_s / 1.0).log_softmax(0)).sum()
        loss = functional.cross_entropy(logits[None], torch.tensor([y]))
        loss = loss + self.config.alpha * agreement
        for group in self.adam.param_groups:  # cosine to 0 over the run, by step
            group["lr"] = SHORT.lr * 0.5 * (1 + math.cos(math.pi * i / total))
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self.adam.step()
        m = 1.0 - (1.0 - self.config.momentum) * 0.5 * (1 + math.cos(math.pi * i / total))
        with torch.no_grad():
            for name, old in self.teacher.items():
                old.copy_(m * old + (1 - m) * self.student[name])
        return float(loss.detach())


def named(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(module.named_parameters())


def test_v1_on_fixed_seeds_is_the_naive_loop_of_its_specification(tmp_path: Path) -> None:
    steps = 10
    mask = MaskConfig(low=0.2, high=0.3, course="cosine")
    settings = config(mask=mask, momentum_course="cosine").over(steps)

    class Fixed(MhimObjective):
        def build(self, generator: Generator) -> MhimNetwork:
            return super().build(generator.manual_seed(0))

    task = Fixed(make_plain, baseline(), settings, cohort())
    fitted = run(task, tmp_path, replace(SHORT, steps=steps))

    start = built(task)
    naive = Naive(start.student, start.teacher.model, settings)
    losses = []
    for i in range(steps):
        batch = task.draw_at(Generator(), Place(step=i))
        losses.append(naive.step(i, steps, batch.bags.features, int(batch.labels[0])))
    assert fitted.metrics["loss"] == pytest.approx(losses[-1], rel=1e-4)
    # float32 over ten steps of Adam, whose first step is the sign of a gradient
    for name, value in fitted.network.student.named_parameters():
        torch.testing.assert_close(value, naive.student[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("gate", ["always", "correct"])
def test_the_loss_is_the_formula_at_its_temperatures(gate: str) -> None:
    sampling = Sampling(bags=3)
    settings = config(gate=gate, alpha=0.3, mask=MaskConfig())
    task = MhimObjective(make_plain, baseline(), settings, cohort(), sampling=sampling)
    network, batch = built(task), drawn(task)
    found = {name: float(value.detach()) for name, value in task.losses(network, batch).items()}
    total, count = 0.0, 0
    for number in range(3):
        bag = batch.bags.one(number)
        z_s, said = network.student(bag).features[0].detach(), network.teacher(bag)
        if gate == "always" or int(said.logits.argmax()) == int(batch.labels[number]):
            p, q = (said.features[0] / 0.1).softmax(0), z_s.softmax(0)
            total, count = total - float((p * q.log()).sum()), count + 1
    agreement = total / max(count, 1)
    assert found["agreement"] == pytest.approx(agreement, rel=1e-5)
    bags = functional.cross_entropy(network.student(batch.bags).logits.detach(), batch.labels)
    assert found["loss"] == pytest.approx(float(bags) + 0.3 * agreement, rel=1e-5)
    assert found["seen"] == 1


def test_bags_that_the_teacher_gets_wrong_teach_nothing_behind_the_gate() -> None:
    contrary = make_plain(Generator().manual_seed(5))
    batch = drawn(objective())
    with torch.no_grad():
        contrary.classifier.bias[1 - int(batch.labels[0])] += 100
    gated = objective(make=make_plain, baseline=stored(contrary), gate="correct")
    open_ = objective(make=make_plain, baseline=stored(contrary))
    assert float(gated.losses(built(gated), batch)["agreement"].detach()) == 0
    assert float(open_.losses(built(open_), batch)["agreement"].detach()) > 0


@pytest.mark.parametrize("version", [{}, V2], ids=["v1", "v2"])
def test_the_teacher_gets_no_gradient_and_the_student_all(version: dict[str, Any]) -> None:
    task = objective(**version)
    network = built(task)
    learn(task, network, drawn(task))
    assert all(p.grad is None and not p.requires_grad for p in network.teacher.parameters())
    others = [p for name, p in network.named_parameters() if not name.startswith("teacher.")]
    assert all(p.grad is not None for p in others)
    assert (network.merge is None) == (not version)


def test_gradients_are_those_against_a_constant_target() -> None:
    task = objective(make=make_plain)
    network, batch = built(task), drawn(task)
    with torch.no_grad():
        view = task._view(network.teacher, batch)
    grads = []
    for given in (batch, replace(batch, view=view)):
        network.zero_grad()
        learn(task, network, given)
        grads.append([p.grad.clone() for p in network.student.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_what_is_hidden_reaches_the_student_in_no_way() -> None:
    task = objective(make=make_plain, mask=MaskConfig(high=0.4), alpha=0)
    network, batch = built(task), drawn(task)
    view = task._view(network.teacher, batch)
    before = task.losses(network, replace(batch, view=view))["loss"]
    hidden = view.scores[:, 0].argsort(descending=True)[: math.ceil(0.4 * len(view.scores))]
    features = batch.bags.features.clone()
    features[hidden] += 100
    changed = replace(batch, view=view, bags=batch.bags.with_features(features))
    assert float(before.detach()) == float(task.losses(network, changed)["loss"].detach())


# The teacher


def test_the_teacher_starts_from_the_baseline_and_the_student_with_its_first_layer() -> None:
    network = built(objective())
    assert same(state(network.teacher.model), dict(baseline().state))
    student, taught = state(network.student), dict(baseline().state)
    shared = {name for name in student if torch.equal(student[name], taught[name])}
    # the bias of the classifier is 0 in both
    assert shared == {"trunk.0.weight", "trunk.0.bias", "classifier.bias"}
    alone = state(built(objective(student_start="random")).student)
    assert not torch.equal(alone["trunk.0.weight"], taught["trunk.0.weight"])


def test_a_baseline_of_another_network_is_refused_before_training(tmp_path: Path) -> None:
    """The released code prints the failure and trains on with a random teacher."""
    missing = replace(baseline(), state={"trunk.0.weight": torch.zeros(WIDTH, DIM)})
    with pytest.raises(RefusedInputError, match="The teacher's baseline belongs to another"):
        run(objective(baseline=missing), tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()
    with pytest.raises(RefusedInputError, match="make returned Linear; allowed: a model of bags"):
        built(objective(make=lambda _: nn.Linear(2, 2)))


def test_a_baseline_of_other_cases_is_refused() -> None:
    task = objective()
    own = task.about()["cases_sha256"]
    for said in (own, "0" * 64):
        known = replace(baseline(), about={"cases_sha256": said})
        if said == own:
            MhimObjective(make, known, config(), cohort(), sampling=task.sampling)
            continue
        with pytest.raises(RefusedInputError, match="trained on other cases"):
            MhimObjective(make, known, config(), cohort(), sampling=task.sampling)


def test_a_run_of_mhim_can_be_the_baseline_of_the_next(tmp_path: Path) -> None:
    run(objective(), tmp_path)
    first = read_weights(tmp_path / "weights.safetensors")
    assert first.about["method"] == "MHIM-MIL v1"
    assert first.architecture["mhim"]["mask"]["rho"] == 0.5
    network = built(objective(baseline=first))
    assert same(state(network.teacher.model), student_state(first.state))


def test_after_k_steps_the_teacher_is_the_moving_average_with_its_buffers(tmp_path: Path) -> None:
    class Counting(MhimObjective):
        """Records what the teacher should average: the student after each step."""

        def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
            if batch.step:
                assert isinstance(network, MhimNetwork)
                network.student.get_buffer("running").add_(batch.step)
                students.append(state(network.student))
            return super().losses(network, batch)

    def with_buffer(generator: Generator) -> MilModel:
        model = make(generator)
        model.register_buffer("running", torch.zeros(2))
        return model

    students: list[dict[str, Tensor]] = []
    start = with_buffer(Generator().manual_seed(5))
    task = Counting(with_buffer, stored(start), config(), cohort())
    fitted = run(task, tmp_path)
    wanted = {name: value.double() for name, value in state(start).items()}
    for student in students:
        wanted = {name: 0.9 * old + 0.1 * student[name] for name, old in wanted.items()}
    found = state(fitted.network.teacher.model)
    assert len(students) == SHORT.steps - 1
    assert bool(found["running"].any())
    for name, value in found.items():
        torch.testing.assert_close(value.double(), wanted[name], rtol=1e-5, atol=1e-6)


def test_micro_batches_move_the_teacher_once_a_step(tmp_path: Path) -> None:
    fitted = run(objective(), tmp_path, replace(SHORT, accumulate=2))
    assert int(fitted.network.teacher.updates) == SHORT.steps - 1


def test_the_momentum_rises_to_one_and_its_first_update_is_iteration_0() -> None:
    """The released loop of list bags shadows its index, and reads another place of the course."""
    rising = teacher_momentum(config(momentum=0.6, momentum_course="cosine").over(10))
    assert callable(rising)
    assert rising(1) == 0.6
    assert [rising(t + 1) for t in range(10)] == pytest.approx(
        [1 - 0.4 * 0.5 * (1 + math.cos(math.pi * t / 10)) for t in range(10)]
    )
    assert rising(11) == 1
    assert teacher_momentum(config(momentum=0.6)) == 0.6


def test_the_teacher_of_v1_drops_out_while_the_student_learns_and_only_then() -> None:
    task = objective()
    network, batch = built(task), drawn(task)
    noisy = [task._view(network.teacher, batch).scores for _ in range(2)]
    network.eval()
    quiet = [task._view(network.teacher, batch).scores for _ in range(2)]
    assert not torch.equal(*noisy)
    assert torch.equal(*quiet)
    still = built(objective(teacher_dropout="off")).train()
    assert torch.equal(*[task._view(still.teacher, batch).scores for _ in range(2)])


# Evaluation and seeds


def test_evaluation_is_the_student_on_whole_bags(tmp_path: Path) -> None:
    task = objective(**V2)
    network = built(task).eval()
    outputs = [output for _, output in all_bags(network, cohort())]
    for bag, output in enumerate(outputs):
        rows = cohort().rows(bag)
        assert output.attention is not None
        assert len(output.attention) == len(rows)
        assert torch.equal(output.logits, network.student(BagBatch.of([rows])).logits)
    before = state(network)
    first, again = task.evaluate(network), task.evaluate(network)
    assert first == again
    assert sorted(first) == ["accuracy", "auc", "log_loss"]
    assert same(before, state(network))


def test_the_mask_is_a_function_of_the_place_in_the_run() -> None:
    task = objective(make=make_plain, momentum=1.0)
    network = built(task)
    first, again, other = (task.losses(network, drawn(task, seed=s))["seen"] for s in (1, 1, 2))
    assert float(first) == float(again)
    kept = [
        float(task.losses(network, replace(drawn(task), seed=s))["loss"].detach()) for s in range(4)
    ]
    assert len(set(kept)) == 4
    assert float(other) < 1


@pytest.mark.parametrize("kind", ["v1", "v2", "look-ahead", "gate, micro-batches"])
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(kind: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "v1": {},
        "v2": V2,
        "look-ahead": {"lookahead": 2},
        "gate, micro-batches": {"gate": "correct"},
    }[kind]

    class Killed(MhimObjective):
        def draw_at(self, generator: Generator, place: Place) -> MhimBags:
            if place.step == 3:
                msg = "pulled the plug"
                raise RuntimeError(msg)
            return super().draw_at(generator, place)

    accumulate = 2 if kind.endswith("micro-batches") else 1
    settings = replace(SHORT, evaluate_every=2, accumulate=accumulate)
    run(objective(**changes), tmp_path / "straight", settings)
    killed, validation = tmp_path / "killed", cohort(8, seed=1, name="v")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Killed(make, baseline(), config(**changes), cohort(), validation), killed, settings)
    run(objective(**changes), killed, settings, resume=True)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (tmp_path / "straight" / name).read_bytes() == (killed / name).read_bytes()


# Look-ahead


def test_the_look_ahead_leaves_all_as_it_was_and_asks_the_future_teacher() -> None:
    task = objective(lookahead=3, momentum=0.5)
    network = built(task)
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.05)
    before, batch = state(network), drawn(task)
    torch.manual_seed(3)
    random = torch.get_rng_state()
    ahead = task.prepare(network, batch, adam)
    assert torch.equal(torch.get_rng_state(), random)
    assert same(before, state(network))
    assert not adam.state
    assert all(p.grad is None for p in network.parameters())
    present = task._view(network.teacher.eval(), batch)
    assert ahead.view is not None
    assert not torch.allclose(ahead.view.output.features, present.output.features, rtol=1e-3)


def test_the_future_is_three_plain_steps_ahead() -> None:
    task = objective(make=make_plain, lookahead=3, momentum=0.5)
    plain = objective(make=make_plain, momentum=0.5)
    network, copied = built(task), built(plain)
    batch = drawn(task)
    sgd = torch.optim.SGD(network.student.parameters(), lr=0.1)
    ahead = task.prepare(network, batch, sgd)
    other = torch.optim.SGD(copied.student.parameters(), lr=0.1)
    for step in range(3):
        other.zero_grad()
        learn(plain, copied, replace(batch, step=step))
        other.step()
    copied.teacher.update(copied.student)
    wanted = plain._view(copied.teacher, batch)
    assert ahead.view is not None
    torch.testing.assert_close(ahead.view.output.features, wanted.output.features)


def test_without_look_ahead_the_batch_is_as_it_was_drawn() -> None:
    task = objective()
    batch = drawn(task)
    assert task.prepare(built(task), batch, torch.optim.SGD([torch.zeros(1)], lr=1)) is batch


def test_the_queries_of_v2_move_in_the_real_step_alone() -> None:
    task = objective(**V2, lookahead=2)
    network, batch = built(task), drawn(task)
    assert network.merge is not None
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad])
    before = network.merge.queries.clone()
    ahead = task.prepare(network, batch, adam)
    assert torch.equal(network.merge.queries, before)
    learn(task, network, ahead)
    assert not torch.equal(network.merge.queries, before)


# Other models, other scores


def dsmil(generator: Generator) -> MilModel:
    return Dsmil(MilSize(dim=DIM, width=WIDTH), generator=generator)


def transmil(generator: Generator) -> MilModel:
    return TransMil(MilSize(dim=DIM, width=WIDTH), landmarks=8, generator=generator)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", [make, dsmil, transmil], ids=["abmil", "dsmil", "transmil"])
def test_it_trains_over_every_model_of_its_papers(kind: Any, version: str, tmp_path: Path) -> None:
    changes = V2 if version == "v2" else {}
    task = MhimObjective(
        kind,
        stored(kind(Generator().manual_seed(5))),
        config(**changes),
        cohort(),
        cohort(4, seed=1, name="v"),
        sampling=Sampling(bags=2),
    )
    fitted = run(task, tmp_path, replace(SHORT, steps=2, evaluate_every=2))
    assert math.isfinite(fitted.metrics["loss"])
    assert 0 < fitted.metrics["seen"] < 1


def test_the_branches_of_dsmil_agree_row_by_row() -> None:
    def quiet(generator: Generator) -> MilModel:
        return Dsmil(MilSize(dim=DIM, width=WIDTH, dropout=0), generator=generator)

    start = stored(quiet(Generator().manual_seed(5)))
    task = MhimObjective(quiet, start, config(mask=MaskConfig()), cohort())
    network, batch = built(task), drawn(task)
    z_t = network.teacher(batch.bags).extra["branches"][0]
    z_s = network.student(batch.bags).extra["branches"][0]
    rows = [-((t / 0.1).softmax(0) * s.log_softmax(0)).sum() for t, s in zip(z_t, z_s, strict=True)]
    found = float(task.losses(network, batch)["agreement"].detach())
    assert found == pytest.approx(float(torch.stack(rows).mean().detach()), rel=1e-5)


def test_given_scores_decide_what_is_hidden() -> None:
    """MHIM driven by the instance probabilities of another model is a setting, not a copy."""

    def first_rows(bags: BagBatch, labels: Tensor) -> Tensor:
        return -torch.arange(len(bags.features)).float()[:, None]

    mask = MaskConfig(high=0.25)
    task = objective(make=make_plain, mask=mask, scores="given", given=first_rows, alpha=0)
    network, batch = built(task), drawn(task)
    hidden = math.ceil(0.25 * len(batch.bags.features))
    seen = BagBatch.of([batch.bags.features[hidden:]])
    wanted = functional.cross_entropy(network.student(seen).logits.detach(), batch.labels)
    assert float(task.losses(network, batch)["loss"].detach()) == pytest.approx(float(wanted))
    by_class = objective(scores="given", given=ClassProbability(make(Generator().manual_seed(7))))
    assert 0 < float(by_class.losses(built(by_class), batch)["seen"]) < 1


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"call config.over\(steps\) first"):
        MhimObjective(make, baseline(), PRESETS["c16-abmil"], cohort())
    with pytest.raises(RefusedInputError, match="is 'given' and scores are not given"):
        objective(scores="given")
    with pytest.raises(RefusedInputError, match="is 'attention' and scores are given"):
        objective(given=lambda bags, _: bags.features)
    for wrong in ({"alpha": -1}, {"tau_teacher": 0}, {"momentum": 1.5}, {"lookahead": -1}):
        with pytest.raises(RefusedInputError, match=next(iter(wrong))):
            config(**wrong)


def test_the_settings_of_the_papers_have_their_numbers() -> None:
    rows = {
        name: (m.random, m.low, m.high, m.rho, c.alpha, c.momentum_course)
        for name, c in PRESETS.items()
        for m in [c.mask]
        if c.version == "v1"
    }
    assert rows == {
        "c16-abmil": (0.5, 0, 0.01, 0.5, 0.1, "constant"),
        "c16-transmil": (0, 0.8, 0.03, 0.5, 0.1, "cosine"),
        "c16-dsmil": (0.5, 0, 0.01, 0.5, 0.1, "constant"),
        "nsclc-abmil": (0.7, 0.2, 0.02, 1, 0.5, "cosine"),
        "nsclc-transmil": (0.6, 0.2, 0.02, 1, 0.5, "constant"),
        "nsclc-dsmil": (0.7, 0.2, 0.02, 1, 0.5, "cosine"),
    }
    v1, v2 = PRESETS["c16-abmil"].over(7), PRESETS["v2"]
    assert (v1.momentum, v1.mask.course, v1.mask.steps, v1.steps) == (0.9999, "cosine", 7, 7)
    assert (v2.momentum, v2.alpha, v2.student_start) == (0.9997, 0.5, "random")
    assert not v2.needs_steps
    assert v2.merge is not None
    assert v2.merge.momentum == 0.9999


# Behaviour


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_student_that_never_sees_whole_bags_learns_to_tell_them(
    version: str, tmp_path: Path
) -> None:
    train, test = cohort(40, seed=3), cohort(100, seed=4, name="u")
    several, steps = Sampling(bags=4), 60
    plain = MilObjective(make, train, sampling=several)
    settings = TrainConfig(steps=steps, lr=5e-3)
    fit(plain, settings, tmp_path / "plain", recipe={}, progress=False)
    weights = read_weights(tmp_path / "plain" / "weights.safetensors")
    changes = V2 | {"mask": MaskConfig(high=0.1)} if version == "v2" else {}
    rising = config(alpha=0.1, momentum_course="cosine", **changes).over(steps)
    task = MhimObjective(make, weights, rising, train, sampling=several)
    fitted = run(task, tmp_path / "mhim", settings)

    @torch.no_grad()
    def auc(network: nn.Module) -> float:
        said = torch.cat([o.probabilities for _, o in all_bags(network.eval(), test)])
        return area_under_roc(said[:, 1].double(), test.labels == 1)

    # chance is .5, with a standard deviation of .058 for 50 and 50 bags: four of them
    assert auc(fitted.network) > 0.73
