"""The teacher: its average in closed form, no gradient, bit-equal resume and look-ahead."""

import copy
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.parallel import DataParallel
from torch.nn.utils.parametrizations import weight_norm

from medconsist.consistency._snapshot import Snapshot
from medconsist.consistency.schedules import constant, cosine, ema_warmup
from medconsist.consistency.teacher import Teacher
from medconsist.errors import RefusedInputError, ShapeError

FP32 = 1e-5  # accumulated fp32 rounding of some tens of averages of numbers near one


def net(seed: int = 0) -> nn.Sequential:
    """Return a small student with dropout and batch normalisation."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
        return nn.Sequential(*layers)


def jump(student: nn.Module, generator: torch.Generator) -> None:
    """Give the student new parameters and new statistics."""
    with torch.no_grad():
        for tensor in (*student.parameters(), *student.buffers()):
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.copy_(torch.randn(tensor.shape, generator=generator).abs())
            else:
                tensor.add_(3)


def parameters(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in module.state_dict().items()}


def tensor(module: nn.Module, name: str) -> Tensor:
    """Return one parameter or buffer, sharing its memory."""
    held: Tensor = module.state_dict()[name]
    return held


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two nested states are equal without any tolerance."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


# The average


@settings(deadline=None, max_examples=20)
@given(m=st.floats(0.0, 1.0), n=st.integers(0, 12), seed=st.integers(0, 99))
def test_n_updates_have_the_closed_form_of_a_moving_average(m: float, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    student = net()
    teacher = Teacher(student, momentum=m)
    expected = [m**n * p.double() for p in parameters(student)]
    for i in range(1, n + 1):
        jump(student, generator)
        assert teacher.update(student) == m
        weight = (1 - m) * m ** (n - i)
        expected = [e + weight * p for e, p in zip(expected, parameters(student), strict=True)]

    for got, want in zip(parameters(teacher.model), expected, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=FP32, atol=FP32)


@pytest.mark.parametrize(
    "build",
    [
        lambda student: Teacher(student, momentum=ema_warmup(1.0)),
        lambda student: Teacher(student, rule="running_mean"),
    ],
    ids=["pure warm-up", "running mean"],
)
def test_warm_up_and_running_mean_are_the_arithmetic_mean_of_all_students(
    build: Callable[[nn.Module], Teacher], generator: torch.Generator
) -> None:
    student = net()
    teacher = build(student)
    met = [parameters(student)]
    shares = []
    for _ in range(20):
        jump(student, generator)
        shares.append(teacher.update(student))
        met.append(parameters(student))

    assert shares == pytest.approx([t / (t + 1) for t in range(1, 21)])
    for got, *all_students in zip(parameters(teacher.model), *met, strict=True):
        mean = torch.stack(all_students).double().mean(0)
        torch.testing.assert_close(got.double(), mean, rtol=FP32, atol=FP32)


def test_a_constant_momentum_holds_from_the_first_update_on(generator: torch.Generator) -> None:
    student = net()
    start = parameters(student)
    by_number, by_schedule = Teacher(student, 0.75), Teacher(student, constant(0.75))
    jump(student, generator)

    assert by_number.update(student) == by_schedule.update(student) == 0.75
    for old, new, got in zip(start, parameters(student), by_number.model.parameters(), strict=True):
        torch.testing.assert_close(got, 0.75 * old + 0.25 * new)
    assert same_bits(state(by_number), state(by_schedule))


def test_a_schedule_is_asked_for_the_updates_one_two_three() -> None:
    asked: list[int] = []

    def momentum(step: int) -> float:
        asked.append(step)
        return 0.5

    student = net()
    teacher = Teacher(student, momentum)
    for _ in range(3):
        teacher.update(student)

    assert asked == [1, 2, 3]
    assert int(teacher.updates) == 3


def test_copy_equals_the_student_bit_by_bit_and_frozen_never_moves(
    generator: torch.Generator,
) -> None:
    student = net()
    start = state(student)
    copied, frozen = Teacher(student, rule="copy"), Teacher(student, rule="frozen")
    jump(student, generator)

    assert (copied.update(student), frozen.update(student)) == (0.0, 1.0)
    assert same_bits(state(copied.model), state(student))
    assert same_bits(state(frozen.model), start)


def test_averaging_complex_parameters_keeps_their_phase() -> None:
    student = nn.Linear(2, 2, dtype=torch.complex64)
    teacher = Teacher(student, momentum=0.25)
    start = student.weight.detach().clone()
    with torch.no_grad():
        student.weight.mul_(1j)

    teacher.update(student)

    torch.testing.assert_close(tensor(teacher.model, "weight"), start * (0.25 + 0.75j))


def test_tied_parameters_stay_tied_and_move_once() -> None:
    student = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    student[1].weight = student[0].weight
    teacher = Teacher(student, momentum=0.5)
    start = tensor(student, "0.weight").clone()
    tensor(student, "0.weight").add_(1.0)

    teacher.update(student)

    first, second = teacher.model.get_submodule("0"), teacher.model.get_submodule("1")
    assert first.weight is second.weight
    torch.testing.assert_close(first.weight, start + 0.5)


# Buffers


@pytest.mark.parametrize("policy", ["copy", "ema"])
def test_buffers_follow_their_policy_and_whole_numbers_are_always_copied(
    policy: Literal["copy", "ema"], generator: torch.Generator
) -> None:
    student = net()
    teacher = Teacher(student, momentum=0.9, buffers=policy)
    start = tensor(student, "1.running_var").clone()
    jump(student, generator)
    teacher.update(student)

    fresh = tensor(student, "1.running_var")
    held = dict(teacher.model.named_buffers())
    expected = fresh if policy == "copy" else 0.9 * start + 0.1 * fresh
    torch.testing.assert_close(held["1.running_var"], expected)
    assert int(held["1.num_batches_tracked"]) == 3


def test_an_infinite_constant_in_a_buffer_survives_averaging() -> None:
    student = nn.Linear(1, 1)
    student.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    teacher = Teacher(student, buffers="ema")

    teacher.update(student)

    assert tensor(teacher.model, "mask").tolist() == [0.0, -torch.inf]


@pytest.mark.parametrize("bn", ["eval", "batch"])
def test_a_forward_pass_leaves_every_bit_of_the_teacher(bn: Literal["eval", "batch"]) -> None:
    teacher = Teacher(net().train(), bn=bn).train()
    before = state(teacher)

    first = teacher(torch.arange(12.0).view(4, 3))
    again = teacher(torch.arange(12.0).view(4, 3))

    assert torch.equal(first, again)
    assert same_bits(state(teacher), before)


def test_batch_statistics_are_those_of_the_input_and_eval_those_that_are_stored(
    generator: torch.Generator,
) -> None:
    student = nn.Sequential(nn.BatchNorm1d(3))
    x = 5.0 + 2.0 * torch.randn(64, 3, generator=generator)

    by_batch, by_store = Teacher(student, bn="batch")(x), Teacher(student, bn="eval")(x)

    torch.testing.assert_close(by_batch, student.train()(x).detach())
    torch.testing.assert_close(by_store, x / (1 + 1e-5) ** 0.5)


def test_dropout_stays_off_when_a_parent_is_set_to_train() -> None:
    parent = nn.ModuleDict({"teacher": Teacher(nn.Dropout(0.5))})
    x = torch.ones(50)

    assert torch.equal(parent.train()["teacher"](x), x)


# Half precision


def test_a_bfloat16_student_still_moves_the_teacher() -> None:
    student = nn.Linear(4, 4).bfloat16()
    with torch.no_grad():
        student.weight.fill_(0.0)
        teacher = Teacher(student, momentum=0.9997)
        student.weight.fill_(0.5)
    in_half = torch.zeros(1, dtype=torch.bfloat16)
    for _ in range(2000):
        teacher.update(student)
        in_half.lerp_(student.weight.detach().view(-1)[:1], 1 - 0.9997)

    moved = tensor(teacher.model, "weight")
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, torch.full((4, 4), 0.5 * (1 - 0.9997**2000)))
    assert float(in_half) < 0.1  # what an average kept in bfloat16 does: it sticks early


def test_half_precision_inputs_pass_and_come_back_in_their_dtype() -> None:
    student = nn.Linear(4, 2).bfloat16()
    teacher = Teacher(student)
    x = torch.linspace(-1, 1, 4, dtype=torch.bfloat16).view(1, 4)

    answer = teacher(x)

    assert answer.dtype == torch.bfloat16
    # one rounding to 8 bits of mantissa at the end instead of one in each layer
    torch.testing.assert_close(answer, student(x).detach(), rtol=2**-6, atol=2**-6)


def test_autocast_around_the_teacher_is_left_to_autocast() -> None:
    teacher = Teacher(nn.Linear(4, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert teacher(torch.ones(1, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_master_keeps_its_bits_when_the_parent_turns_to_half_precision() -> None:
    student = net()
    parent = nn.ModuleDict({"student": student, "teacher": Teacher(student)})
    before = state(parent["teacher"])

    parent.bfloat16()

    assert student[0].weight.dtype == torch.bfloat16
    assert same_bits(state(parent["teacher"]), before)


def test_double_precision_stays_double() -> None:
    teacher = Teacher(nn.Linear(2, 2).double())

    assert teacher(torch.ones(1, 2, dtype=torch.float64)).dtype == torch.float64


# No gradient


def test_no_gradient_reaches_the_teacher_and_its_answer_acts_as_a_constant() -> None:
    student = net().eval()
    teacher = Teacher(student, momentum=0.5)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)

    target = teacher(x)
    (student(x) * target).sum().backward()
    through = [p.grad.clone() for p in student.parameters() if p.grad is not None]
    student.zero_grad()
    (student(x) * torch.tensor(target.tolist())).sum().backward()

    assert not target.requires_grad
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert same_bits(through, [p.grad for p in student.parameters()])


def test_an_answer_that_is_the_input_itself_is_detached_in_any_container() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"same": x, "pair": (x, [x + 1]), "name": "kept"}

    answer = Teacher(Pair())(torch.ones(2, requires_grad=True))

    assert not answer["same"].requires_grad
    assert not answer["pair"][0].requires_grad
    assert not answer["pair"][1][0].requires_grad
    assert answer["name"] == "kept"


def test_the_student_keeps_learning_and_shares_no_memory() -> None:
    student = net()
    teacher = Teacher(student)

    assert all(p.requires_grad for p in student.parameters())
    pointers = {p.data_ptr() for p in student.parameters()}
    assert pointers.isdisjoint({p.data_ptr() for p in teacher.parameters()})


# Resume


@pytest.mark.parametrize("rule", ["ema", "running_mean", "frozen", "copy"])
def test_a_resumed_teacher_goes_on_bit_by_bit(
    rule: Literal["ema", "running_mean", "frozen", "copy"], tmp_path: Path
) -> None:
    def build() -> tuple[nn.Sequential, Teacher]:
        student = net()
        return student, Teacher(student, cosine(0.5, 1.0, 9), rule=rule, buffers="ema")

    numbers = torch.Generator().manual_seed(5)
    student, teacher = build()
    for _ in range(4):
        jump(student, numbers)
        teacher.update(student)
    torch.save(teacher.state_dict(), tmp_path / "state.pt")
    other, resumed = build()
    jump(other, numbers)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(4):
        jump(student, numbers)
        assert teacher.update(student) == resumed.update(student)

    assert int(resumed.updates) == 8
    assert same_bits(state(resumed), state(teacher))


def test_a_state_of_another_shape_is_refused_before_anything_is_loaded() -> None:
    teacher = Teacher(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    other = Teacher(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)))
    before = state(teacher)

    with pytest.raises(ShapeError, match=r"model\.1\.weight: teacher \(2, 4\), state \(5, 4\)"):
        teacher.load_state_dict(other.state_dict())
    with pytest.raises(ShapeError, match=r"updates: teacher \(\), state \(2,\)"):
        nn.ModuleDict({"t": teacher}).load_state_dict({"t.updates": torch.ones(2)})
    assert same_bits(state(teacher), before)


def test_a_partial_state_loads_when_the_caller_says_so() -> None:
    teacher = Teacher(nn.Linear(1, 1))

    teacher.load_state_dict({"updates": torch.tensor(7)}, strict=False)

    assert int(teacher.updates) == 7


def test_a_teacher_survives_deepcopy_and_pickle() -> None:
    teacher = Teacher(net(), ema_warmup(0.9))
    twins = [copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))]  # noqa: S301
    student = net(seed=1)
    teacher.update(student)

    for twin in twins:
        twin.update(student)
        assert same_bits(state(twin), state(teacher))


# Wrappers


def test_compiled_and_parallel_students_are_unwrapped() -> None:
    student = net()
    inner: Any = torch.compile(student, backend="eager")
    wrapped: Any = torch.compile(DataParallel(inner), backend="eager")
    plain, teacher = Teacher(student, 0.5), Teacher(wrapped, 0.5)
    jump(student, torch.Generator().manual_seed(3))

    plain.update(student)
    teacher.update(wrapped)

    assert type(teacher.model) is nn.Sequential
    assert same_bits(state(teacher), state(plain))


def test_parametrised_students_are_averaged_in_their_own_coordinates() -> None:
    student = weight_norm(nn.Linear(3, 2))
    teacher = Teacher(student, momentum=0.5)
    start = parameters(student)
    jump(student, torch.Generator().manual_seed(3))

    teacher.update(student)

    for old, new, got in zip(start, parameters(student), parameters(teacher.model), strict=True):
        torch.testing.assert_close(got, (old + new) / 2)


def test_two_processes_hold_the_same_teacher(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("teacher_worker.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(worker), str(rank), str(tmp_path / "meeting")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()

    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    (*first, drift), (*second, other_drift) = [out.split() for out, _ in outputs]
    assert len(first) == 2
    assert first == second
    assert drift != other_drift  # the students' buffers do differ: the test can fail


def test_dropout_is_off_unless_it_may_follow_train_and_eval() -> None:
    x = torch.ones(64, 3)
    still, noisy = Teacher(net()).train(), Teacher(net(), dropout="train")

    assert torch.equal(still(x), still(x))
    assert torch.equal(noisy(x), noisy(x))  # built in eval mode
    before = state(noisy)
    noisy.train()
    first, second = noisy(x), noisy(x)
    assert not torch.equal(first, second)
    assert not first.requires_grad
    assert same_bits(state(noisy), before)  # batch normalisation stays with its statistics
    assert torch.equal(noisy.eval()(x), noisy(x))


def test_a_future_teacher_drops_out_as_the_present_one_does() -> None:
    student = net().train()
    teacher = Teacher(student, dropout="train").train()
    adam = torch.optim.Adam(student.parameters())
    with teacher.lookahead(student, adam, lambda _: None, k=1) as future:
        x = torch.ones(64, 3)
        assert not torch.equal(future(x), future(x))


# Look-ahead


def everything(student: nn.Module, optimizer: torch.optim.Optimizer, drawn: torch.Generator) -> Any:
    """Return all that look-ahead promises to put back."""
    return copy.deepcopy(
        {
            "state": state(student),
            "grads": [p.grad for p in student.parameters()],
            "modes": [module.training for module in student.modules()],
            "moments": optimizer.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state(),  # noqa: NPY002 - the one that is put back
            "drawn": drawn.get_state(),
        }
    )


class Run:
    """A student in the middle of its training, with every source of randomness in use."""

    def __init__(self, optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW) -> None:
        torch.manual_seed(4)
        self.student = net().train()
        self.teacher = Teacher(self.student, momentum=0.9)
        self.optimizer = optimizer(self.student.parameters(), lr=0.05)  # type: ignore[call-arg]
        self.drawn = torch.Generator().manual_seed(6)
        self.x = torch.randn(8, 3, generator=torch.Generator().manual_seed(7))
        for _ in range(5):
            self.step(self.teacher)
            self.teacher.update(self.student)

    def step(self, teacher: nn.Module, target: Tensor | None = None) -> None:
        self.optimizer.zero_grad()
        noise = torch.randn(self.x.shape, generator=self.drawn)
        noise = noise * (0.1 + np.random.rand())  # noqa: NPY002 - a step may use it
        target = teacher(self.x) if target is None else target
        (self.student(self.x + noise) - target - 1).square().mean().backward()
        self.optimizer.step()

    def kept(self) -> Any:
        return everything(self.student, self.optimizer, self.drawn)


@pytest.fixture
def run() -> Run:
    """A run whose global random states the tests may use freely."""
    return Run()


@pytest.fixture(autouse=True)
def _random_states() -> Any:
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])  # noqa: NPY002


def test_look_ahead_puts_everything_back_before_the_block_and_after_it(run: Run) -> None:
    before, teacher = run.kept(), state(run.teacher)

    with run.teacher.lookahead(
        run.student, run.optimizer, run.step, generators=[run.drawn]
    ) as future:
        assert same_bits(run.kept(), before)
        torch.rand(3)
        np.random.rand()  # noqa: NPY002
        run.student.eval()

    assert same_bits(run.kept(), before)
    assert same_bits(state(run.teacher), teacher)
    assert int(future.updates) == int(run.teacher.updates) + 3
    assert not same_bits(state(future), teacher)


@pytest.mark.parametrize("where", ["first virtual step", "third virtual step", "block"])
def test_look_ahead_puts_everything_back_after_an_exception(run: Run, where: str) -> None:
    before, teacher, done = run.kept(), state(run.teacher), []

    def step(future: nn.Module) -> None:
        run.step(future)
        done.append(1)
        if where == "first virtual step" or (where == "third virtual step" and len(done) == 3):
            raise KeyError(where)

    def block() -> None:
        ahead = run.teacher.lookahead(run.student, run.optimizer, step, generators=[run.drawn])
        with ahead:
            run.step(run.teacher)
            raise KeyError(where)

    with pytest.raises(KeyError, match=where):
        block()

    assert same_bits(run.kept(), before)
    assert same_bits(state(run.teacher), teacher)


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_the_real_step_equals_the_one_without_virtual_steps(
    optimizer: type[torch.optim.Optimizer],
) -> None:
    target = torch.ones(8, 2)
    plain, ahead = started(optimizer), started(optimizer)
    seeded()
    plain.step(plain.teacher, target)
    seeded()
    with ahead.teacher.lookahead(
        ahead.student, ahead.optimizer, ahead.step, generators=[ahead.drawn]
    ):
        pass
    ahead.step(ahead.teacher, target)

    assert same_bits(ahead.kept(), plain.kept())


def seeded() -> None:
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002


def started(optimizer: type[torch.optim.Optimizer]) -> Run:
    seeded()
    return Run(optimizer)


def test_restoring_parameters_alone_would_change_the_real_step_of_adamw() -> None:
    """The trap of the released code of FST; without it the test above would prove little."""
    plain, naive = started(torch.optim.AdamW), started(torch.optim.AdamW)
    target = torch.ones(8, 2)
    start = [p.detach().clone() for p in naive.student.parameters()]
    for _ in range(3):
        naive.step(naive.teacher)
    with torch.no_grad():
        for parameter, value in zip(naive.student.parameters(), start, strict=True):
            parameter.copy_(value)
    for run in (plain, naive):
        seeded()
        run.drawn.manual_seed(1)
        run.step(run.teacher, target)

    steps = [
        int(run.optimizer.state[next(run.student.parameters())]["step"]) for run in (plain, naive)
    ]
    assert steps == [6, 9]
    assert not same_bits(parameters(naive.student), parameters(plain.student))


def test_without_virtual_steps_the_future_is_a_copy_of_the_teacher(run: Run) -> None:
    with run.teacher.lookahead(run.student, run.optimizer, run.step, k=0) as future:
        assert same_bits(state(future), state(run.teacher))
        assert future is not run.teacher


def test_the_future_is_the_average_of_the_virtual_students(run: Run) -> None:
    seen: list[list[Tensor]] = []
    expected = parameters(run.teacher.model)

    def step(future: nn.Module) -> None:
        run.step(future)
        seen.append(parameters(run.student))

    with run.teacher.lookahead(run.student, run.optimizer, step, k=4) as future:
        pass

    for virtual in seen:
        expected = [0.9 * e + 0.1 * v for e, v in zip(expected, virtual, strict=True)]
    assert len(seen) == 4
    for got, want in zip(parameters(future.model), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=FP32, atol=FP32)


def test_a_half_precision_student_with_wide_moments_is_put_back_bit_by_bit() -> None:
    """``load_state_dict`` of an optimiser would narrow these moments to bfloat16."""
    student = nn.Linear(3, 2).bfloat16()
    optimizer = torch.optim.AdamW(student.parameters())
    moments = {"step": torch.tensor(5.0), "exp_avg": torch.rand(2, 3), "note": ["any", 1]}
    optimizer.state[student.weight] = copy.deepcopy(moments)

    def step(future: nn.Module) -> None:
        optimizer.state[student.weight]["exp_avg"].zero_()
        optimizer.state[student.bias] = {"new": 1}
        optimizer.param_groups[0]["lr"] = 9.0
        optimizer.add_param_group({"params": [torch.zeros(1)]})

    with Teacher(student).lookahead(student, optimizer, step, k=1):
        pass

    assert same_bits(optimizer.state[student.weight], moments)
    assert list(optimizer.state) == [student.weight]
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3]


def test_the_random_state_of_python_is_put_back_too(run: Run) -> None:
    # on the snapshot itself: beartype draws from this state whenever it checks a container
    before = Snapshot(run.student, run.optimizer)
    drawn = []
    for _ in range(3):
        before.restore()
        drawn.append(random.random())  # noqa: S311

    assert len(set(drawn)) == 1


def test_look_ahead_works_on_complex_students() -> None:
    student = nn.Linear(2, 2, dtype=torch.complex64)
    optimizer = torch.optim.AdamW(student.parameters())
    before = state(student)

    def step(future: nn.Module) -> None:
        student(torch.ones(1, 2, dtype=torch.complex64)).abs().sum().backward()
        optimizer.step()

    with Teacher(student).lookahead(student, optimizer, step) as future:
        answer = future(torch.ones(1, 2, dtype=torch.complex64))

    assert answer.dtype == torch.complex64
    assert same_bits(state(student), before)


def test_a_real_step_inside_the_block_is_undone_and_refused(run: Run) -> None:
    before = run.kept()

    with (
        pytest.raises(RefusedInputError, match="take the real step after the block"),
        run.teacher.lookahead(run.student, run.optimizer, run.step, generators=[run.drawn]),
    ):
        run.step(run.teacher)

    assert same_bits(run.kept(), before)


def test_look_ahead_refuses_negative_k_and_an_optimiser_that_trains_the_teacher(run: Run) -> None:
    with (
        pytest.raises(RefusedInputError, match="at least 0; got -1"),
        run.teacher.lookahead(run.student, run.optimizer, run.step, k=-1),
    ):
        pass
    wrong = torch.optim.SGD(run.teacher.parameters(), lr=0.1)
    with (
        pytest.raises(RefusedInputError, match="holds parameters of the teacher"),
        run.teacher.lookahead(run.student, wrong, run.step),
    ):
        pass


# Refusals


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: nn.Linear(3, 5), r"weight: teacher \(4, 3\), student \(5, 3\)"),
        (lambda: nn.Linear(3, 4, bias=False), r"bias: teacher \(4,\), student none"),
        (lambda: nn.Sequential(nn.Linear(3, 4)), r"0\.weight: teacher none, student \(4, 3\)"),
    ],
    ids=["shape", "missing", "names"],
)
def test_a_student_of_another_structure_is_refused_and_nothing_moves(
    other: Callable[[], nn.Module], message: str
) -> None:
    teacher = Teacher(nn.Linear(3, 4))
    before = state(teacher)

    with pytest.raises(ShapeError, match=message):
        teacher.update(other())
    assert same_bits(state(teacher), before)


def test_a_long_list_of_differences_is_cut() -> None:
    teacher = Teacher(nn.Sequential(*[nn.Linear(1, 1) for _ in range(9)]))

    with pytest.raises(ShapeError, match="and 13 more"):
        teacher.update(nn.Identity())


def test_a_complex_student_of_a_real_teacher_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="mix real and complex"):
        Teacher(nn.Linear(2, 2)).update(nn.Linear(2, 2, dtype=torch.complex64))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_student_that_is_not_finite_does_not_poison_the_teacher(bad: float) -> None:
    student = net()
    teacher = Teacher(student)
    before = state(teacher)
    tensor(student, "3.bias")[1] = bad

    with pytest.raises(RefusedInputError, match=r"\['3\.bias'\] are not finite"):
        teacher.update(student)
    assert same_bits(state(teacher), before)


def test_large_finite_numbers_whose_sum_overflows_are_no_reason_to_refuse() -> None:
    student = nn.Linear(2, 2)
    teacher = Teacher(student, momentum=0.0)
    tensor(student, "weight").fill_(3e38)

    teacher.update(student)

    assert torch.equal(tensor(teacher.model, "weight"), tensor(student, "weight"))


@pytest.mark.parametrize("momentum", [-0.1, 1.1, torch.nan, 2])
def test_a_momentum_that_is_no_share_is_refused(momentum: float | int) -> None:
    with pytest.raises(RefusedInputError, match=r"share of the old value, in \[0, 1\]; got"):
        Teacher(nn.Linear(1, 1), momentum)
    teacher = Teacher(nn.Linear(1, 1), constant(2.0))
    with pytest.raises(RefusedInputError, match=r"in \[0, 1\]; got 2\.0"):
        teacher.update(nn.Linear(1, 1))


def test_a_student_that_cannot_be_copied_is_refused_with_the_reason() -> None:
    student = nn.Linear(2, 2)
    student.held = student.weight * 2
    with pytest.raises(RefusedInputError, match="use parametrizations instead"):
        Teacher(student)
    with pytest.raises(RefusedInputError, match="run it once"):
        Teacher(nn.LazyLinear(3))


def test_a_student_without_parameters_is_a_defined_case() -> None:
    teacher = Teacher(nn.Identity())

    assert teacher.update(nn.Identity()) == 0.999
    assert torch.equal(teacher(torch.ones(2)), torch.ones(2))


# Behaviour


def test_the_teacher_of_a_noisy_student_is_nearer_to_the_truth(generator: torch.Generator) -> None:
    truth = torch.tensor([[1.0, -2.0, 0.5]])
    student = nn.Linear(3, 1, bias=False)
    teacher = Teacher(student, momentum=ema_warmup(0.98))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    errors = []
    for _ in range(400):
        x = torch.randn(4, 3, generator=generator)
        y = x @ truth.T + torch.randn(4, 1, generator=generator)
        optimizer.zero_grad()
        (student(x) - y).square().mean().backward()
        optimizer.step()
        teacher.update(student)
        pair = (student.weight.detach(), tensor(teacher.model, "weight"))
        errors.append([float((weight - truth).square().sum()) for weight in pair])

    student_error, teacher_error = np.mean(errors[200:], axis=0)
    assert teacher_error < 0.3 * student_error


@pytest.mark.gpu
def test_on_a_gpu_the_average_follows_and_the_random_states_come_back() -> None:
    student = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).cuda().bfloat16()
    teacher = Teacher(student, momentum=0.5)
    optimizer = torch.optim.AdamW(student.parameters())
    before = torch.cuda.get_rng_state()
    x = torch.ones(2, 3, device="cuda", dtype=torch.bfloat16)

    def step(future: nn.Module) -> None:
        (student(x) - future(x)).square().sum().backward()
        optimizer.step()

    with teacher.lookahead(student, optimizer, step) as future:
        answer = future(x)
    teacher.update(student)

    assert answer.dtype == torch.bfloat16
    assert answer.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert all(p.dtype == torch.float32 and p.is_cuda for p in teacher.parameters())
