"""Bank and prototypes against naive loops, in any order, over two processes, and refused."""

import copy
import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.consistency.prototypes import Prototypes, RingBank
from medconsist.errors import RefusedInputError, ShapeError

WORKER = Path(__file__).parent / "prototypes_worker.py"
Update = Literal["ema", "similarity"]
BOTH_UPDATES = pytest.mark.parametrize("update", ["ema", "similarity"])


def assert_near(one: Tensor, other: Tensor) -> None:
    """Sums are made in float64 and centres kept in float32: allow a few of its roundings."""
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def rows(n_rows: int, dim: int, n_classes: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n_rows, dim, generator=generator)
    return z, torch.randint(n_classes, (n_rows,), generator=generator)


def trained(update: Update = "ema", n_batches: int = 3, m: float = 0.9) -> Prototypes:
    """Prototypes of four classes in six dimensions that have seen some batches."""
    prototypes = Prototypes(4, 6, m, update)
    for seed in range(n_batches):
        prototypes.update(*rows(12, 6, 4, seed))
    return prototypes


# ---- ring bank


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 9),
    batches=st.lists(st.integers(0, 25), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_bank_equals_pushing_one_row_at_a_time(size: int, batches: list[int], seed: int) -> None:
    bank = RingBank(size, 3, {"label": 0, "score": 2})
    slots: dict[int, tuple[Tensor, Tensor]] = {}
    n_seen = 0
    for step, n_rows in enumerate(batches):
        z, y = rows(n_rows, 3, 5, seed + step)
        bank.push(z, label=y, score=z[:, :2] + 1)
        for row, label in zip(z, y, strict=True):
            slots[n_seen % size] = (row, label)
            n_seen += 1
    read = bank.read()
    assert len(read["z"]) == min(n_seen, size)
    for slot in range(len(slots)):
        row, label = slots[slot]
        assert torch.equal(read["z"][slot], row)
        assert torch.equal(read["label"][slot], label)
        assert torch.equal(read["score"][slot], row[:2] + 1)


def test_new_bank_has_nothing_to_read() -> None:
    read = RingBank(5, 3, {"label": 0, "score": 2}).read()
    assert {name: tuple(part.shape) for name, part in read.items()} == {
        "z": (0, 3),
        "label": (0,),
        "score": (0, 2),
    }


def test_what_was_read_is_not_changed_by_a_later_push() -> None:
    bank = RingBank(2, 3)
    bank.push(torch.ones(2, 3))
    query = torch.ones(1, 3, requires_grad=True)
    keys = bank.read()["z"]
    loss = (query @ keys.T).sum()
    bank.push(torch.zeros(2, 3))
    (gradient,) = torch.autograd.grad(loss, query)
    assert torch.equal(keys, torch.ones(2, 3))
    assert torch.equal(gradient, torch.full((1, 3), 2.0))


def test_bank_keeps_no_gradient_and_integers_beyond_float32() -> None:
    bank = RingBank(4, 2, {"label": 0})
    label = torch.tensor([2**24 + 1, -7])
    bank.push(torch.ones(2, 2, requires_grad=True), label=label)
    assert not bank.read()["z"].requires_grad
    assert torch.equal(bank.read()["label"], label)


def test_bank_continues_bit_identically_after_a_state_dict_round_trip() -> None:
    bank = RingBank(7, 3, {"label": 0})
    for seed in range(4):
        z, y = rows(3, 3, 5, seed)
        bank.push(z, label=y)
    other = RingBank(7, 3, {"label": 0})
    z, y = rows(9, 3, 5, 9)
    other.push(z, label=y)
    other.read()  # remembers that it is full, which the loaded state must override
    half = RingBank(7, 3, {"label": 0})
    half.push(z[:2], label=y[:2])
    other.load_state_dict(half.state_dict())
    assert len(other.read()["z"]) == 2
    other.load_state_dict(copy.deepcopy(bank.state_dict()))
    for memory in (bank, other):
        memory.push(z[:5], label=y[:5])
    assert_same_state(bank.state_dict(), other.state_dict())
    assert torch.equal(bank.read()["z"], other.read()["z"])


def assert_same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert torch.equal(values, other[name]), name


# ---- prototypes: oracles


def loop_in_order(p: Tensor, features: list[Tensor], m: float) -> Tensor:
    """The update of INS for one class: one row after the other, unit length only at the end."""
    for feature in features:
        p = m * p + (1 - m) * feature
    return p


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5])
def test_update_is_the_mean_of_the_naive_loop_over_all_orders(n_rows: int) -> None:
    prototypes = trained(m=0.7)
    start = prototypes.vectors[2].double()
    z = rows(n_rows, 6, 1, 50)[0]
    features = list(F.normalize(z.double(), dim=1))
    orders = [loop_in_order(start, list(o), 0.7) for o in itertools.permutations(features)]
    wanted = F.normalize(torch.stack(orders).mean(0), dim=0)
    prototypes.update(z, torch.full((n_rows,), 2))
    assert_near(prototypes.vectors[2].double(), wanted)


def test_first_update_points_to_the_mean_of_the_class() -> None:
    z, y = rows(40, 6, 4)
    prototypes = Prototypes(4, 6)
    prototypes.update(z, y)
    features = F.normalize(z, dim=1)
    for label in range(4):
        wanted = F.normalize(features[y == label].mean(0), dim=0)
        assert_near(prototypes.vectors[label], wanted)


def gated_loop(batches: list[tuple[Tensor, Tensor]], n_classes: int, dim: int, m: float) -> Tensor:
    """The gated update, written with loops over classes, rows and the history."""
    centres = torch.zeros(n_classes, dim, dtype=torch.float64)
    history: list[list[Tensor]] = [[] for _ in range(n_classes)]
    for z, y in batches:
        for label in range(n_classes):
            features = list(F.normalize(z[y == label].double(), dim=1))
            if not features:
                continue
            gates = []
            for feature in features:
                cosines = [float(feature @ past) for past in history[label][-10:]]
                similarity = max(0.0, sum(cosines) / len(cosines)) if cosines else 1.0
                gates.append(min(similarity, 1 - m))
            kept = 1.0
            for gate in gates:
                kept *= 1 - gate
            if sum(gates) > 0:
                pulled = sum((g * f for g, f in zip(gates, features, strict=True)), 0 * features[0])
                moved = kept * centres[label] + (1 - kept) * pulled / sum(gates)
                centres[label] = moved / moved.norm()
            history[label].append(F.normalize(torch.stack(features).sum(0), dim=0))
    return centres


@pytest.mark.parametrize("m", [0.0, 0.5, 0.9])
def test_gated_update_equals_a_naive_loop_over_more_batches_than_the_history(m: float) -> None:
    batches = [rows(7, 6, 3, seed) for seed in range(16)]
    prototypes = Prototypes(3, 6, m, "similarity")
    for z, y in batches:
        prototypes.update(z, y)
    assert_near(prototypes.vectors.double(), gated_loop(batches, 3, 6, m))


# ---- prototypes: properties


@BOTH_UPDATES
@settings(max_examples=25, deadline=None)
@given(n_rows=st.integers(1, 40), seed=st.integers(0, 1000))
def test_order_of_the_rows_does_not_matter(update: Update, n_rows: int, seed: int) -> None:
    one, other = trained(update), trained(update)
    z, y = rows(n_rows, 6, 4, seed)
    order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))
    one.update(z, y)
    other.update(z[order], y[order])
    torch.testing.assert_close(one.vectors, other.vectors, atol=1e-7, rtol=0.0)  # one rounding


@BOTH_UPDATES
def test_order_of_many_rows_does_not_change_a_bit(update: Update) -> None:
    one, other = trained(update), trained(update)
    z, y = rows(4000, 6, 4)
    one.update(z, y)
    other.update(z.flip(0), y.flip(0))
    assert_same_state(one.state_dict(), other.state_dict())


@BOTH_UPDATES
def test_absent_classes_keep_every_bit_and_seen_ones_unit_length(update: Update) -> None:
    prototypes = Prototypes(5, 6, 0.9, update)
    prototypes.update(*rows(20, 6, 4))
    before = copy.deepcopy(prototypes.state_dict())
    prototypes.update(rows(3, 6, 1, 8)[0], torch.tensor([1, 1, 3]))
    for name, values in prototypes.state_dict().items():
        assert torch.equal(values[[0, 2, 4]], before[name][[0, 2, 4]]), name
    assert not prototypes.vectors[4].any()
    assert not torch.equal(prototypes.vectors[1], before["vectors"][1])
    lengths = prototypes.vectors[:4].norm(dim=1)
    assert_near(lengths, torch.ones(4))


@BOTH_UPDATES
def test_empty_batch_changes_nothing(update: Update) -> None:
    prototypes, bank = trained(update), RingBank(3, 6)
    bank.push(torch.ones(2, 6))
    before = copy.deepcopy(prototypes.state_dict() | bank.state_dict())
    prototypes.update(torch.empty(0, 6), torch.empty(0, dtype=torch.int64))
    bank.push(torch.empty(0, 6))
    assert_same_state(prototypes.state_dict() | bank.state_dict(), before)


@BOTH_UPDATES
def test_state_dict_round_trip_continues_bit_identically(update: Update) -> None:
    prototypes = trained(update)
    other = Prototypes(4, 6, 0.9, update)
    other.load_state_dict(copy.deepcopy(prototypes.state_dict()))
    for memory in (prototypes, other):
        memory.update(*rows(12, 6, 4, 77))
    assert_same_state(prototypes.state_dict(), other.state_dict())


def test_rows_that_cancel_the_centre_leave_it() -> None:
    prototypes = Prototypes(1, 2, 0.5)
    prototypes.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    prototypes.update(torch.tensor([[-1.0, 0.0]]), torch.tensor([0]))
    assert prototypes.vectors.tolist() == [[1.0, 0.0]]


def test_gate_shuts_out_an_outlier_that_moves_the_plain_average() -> None:
    usual, outlier = torch.tensor([[1.0, 0.1]]), torch.tensor([[-1.0, 0.2]])
    plain, gated = Prototypes(1, 2, 0.5), Prototypes(1, 2, 0.5, "similarity")
    for prototypes in (plain, gated):
        prototypes.update(usual, torch.tensor([0]))
    before = gated.vectors.clone()
    for prototypes in (plain, gated):
        prototypes.update(outlier, torch.tensor([0]))
    assert torch.equal(gated.vectors, before)
    assert not torch.equal(plain.vectors, before)


def test_gated_centre_follows_a_change_that_lasts() -> None:
    prototypes = Prototypes(1, 2, 0.5, "similarity")
    for angle in [torch.tensor([[1.0, 0.0]])] * 3 + [torch.tensor([[0.0, 1.0]])] * 15:
        prototypes.update(angle, torch.tensor([0]))
    assert float(prototypes.vectors[0, 1]) > 0.99


def test_gate_is_capped_so_that_equal_rows_move_as_the_average_does() -> None:
    z, y = torch.tensor([[1.0, 0.2]] * 6), torch.zeros(6, dtype=torch.int64)
    plain, gated = Prototypes(1, 2, 0.9), Prototypes(1, 2, 0.9, "similarity")
    for prototypes in (plain, gated):
        prototypes.update(torch.tensor([[1.0, 0.0]]), y[:1])
        prototypes.update(z, y)
    assert_near(gated.vectors, plain.vectors)


@BOTH_UPDATES
def test_prototypes_learn_the_directions_of_noisy_clusters(update: Update) -> None:
    generator = torch.Generator().manual_seed(3)
    centres = F.normalize(torch.randn(4, 6, generator=generator), dim=1)
    prototypes = Prototypes(4, 6, 0.9, update)
    for _ in range(20):
        y = torch.randint(4, (32,), generator=generator)
        prototypes.update(centres[y] + 0.3 * torch.randn(32, 6, generator=generator), y)
    # noise of 0.3 in six dimensions, averaged over some 160 rows a class
    assert float((prototypes.vectors * centres).sum(1).min()) > 0.97


# ---- logits


def test_logits_are_cosines_over_the_temperature() -> None:
    prototypes = trained()
    z = rows(10, 6, 4)[0].view(2, 5, 6)
    wanted = F.cosine_similarity(z.unsqueeze(2), prototypes.vectors, dim=-1) / 0.07
    torch.testing.assert_close(prototypes.logits(z, 0.07), wanted, atol=1e-5, rtol=1e-5)


def test_class_never_seen_scores_zero() -> None:
    assert not Prototypes(3, 6).logits(torch.ones(2, 6)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_the_logits_outlives_an_update_and_reaches_no_centre(
    dtype: torch.dtype,
) -> None:
    prototypes = trained()
    z, y = rows(8, 6, 4)
    z = z.to(dtype).requires_grad_()
    constant = prototypes.vectors.to(dtype, copy=True)
    loss = F.cross_entropy(prototypes.logits(z, 0.1), y)
    prototypes.update(z, y)
    (got,) = torch.autograd.grad(loss, z)
    by_constant = F.cross_entropy(F.normalize(z, dim=1) @ constant.T / 0.1, y)
    (wanted,) = torch.autograd.grad(by_constant, z)
    torch.testing.assert_close(got, wanted)
    assert not list(prototypes.parameters())
    assert not prototypes.vectors.requires_grad


# ---- precision


@BOTH_UPDATES
def test_bfloat16_features_move_float32_centres_by_small_steps(update: Update) -> None:
    prototypes = Prototypes(1, 2, 0.9997, update)
    bank = RingBank(2, 2)
    prototypes.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    for memory in (prototypes, bank):
        memory.to(torch.bfloat16)
    z = torch.tensor([[1.0, 1.0]], dtype=torch.bfloat16)
    for _ in range(10):
        prototypes.update(z, torch.tensor([0]))
    bank.push(z)
    assert prototypes.vectors.dtype == torch.float32
    assert bank.read()["z"].dtype == torch.float32
    # ten steps of 3e-4 towards 45 degrees
    assert 0.0015 < float(prototypes.vectors[0, 1]) < 0.003
    assert prototypes.logits(z).dtype == torch.bfloat16


def test_update_inside_autocast_is_bit_identical() -> None:
    one, other = trained(), trained()
    z, y = rows(12, 6, 4, 5)
    one.update(z, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        other.update(z, y)
    assert torch.equal(one.vectors, other.vectors)


# ---- two processes


def worker_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prototypes_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_hold_what_one_would_after_the_joined_batches(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )
    assert done.returncode == 0, done.stderr
    worker = worker_module()
    alone = worker.memories()
    for step in range(len(worker.ROWS)):
        parts = [worker.batch(step, rank) for rank in range(2)]
        z, y = (torch.cat(part) for part in zip(*parts, strict=True))
        worker.write(*alone, (z, y))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for memory, one, other in zip(alone, first["states"], second["states"], strict=True):
        assert_same_state(one, other)
        assert_same_state(one, memory.state_dict())
    assert "processes [1] refused their rows" in first["told"]
    assert "6 values of z are NaN or infinite" in second["told"]


# ---- refused


Z = torch.ones(2, 6)
Y = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("z", "y", "error", "match"),
    [
        (torch.ones(2, 5), Y, ShapeError, r"z has shape \(2, 5\); it must be \(rows, 6\)"),
        (torch.ones(6), Y, ShapeError, r"z has shape \(6,\)"),
        (Z, Y[:1], ShapeError, r"y has shape \(1,\); it must be \(2,\)"),
        (Z.long(), Y, RefusedInputError, "z has dtype torch.int64"),
        (Z + 1j, Y, RefusedInputError, "z has dtype torch.complex64"),
        (Z, Y.float(), RefusedInputError, "y has dtype torch.float32"),
        (Z, Y.bool(), RefusedInputError, "y has dtype torch.bool"),
        (Z, Y + 4, RefusedInputError, r"2 classes lie outside \[0, 4\)"),
        (Z, Y - 1, RefusedInputError, r"2 classes lie outside \[0, 4\)"),
        (Z * torch.nan, Y, RefusedInputError, "12 values of z are NaN or infinite"),
        (Z.double() * 1e300, Y, RefusedInputError, "12 values of z are NaN or infinite"),
        (Z.to("meta"), Y, RefusedInputError, "z is on meta and the memory on cpu"),
    ],
)
def test_update_refuses_bad_rows_and_stays_as_it_was(
    z: Tensor, y: Tensor, error: type[Exception], match: str
) -> None:
    prototypes = trained("similarity")
    before = copy.deepcopy(prototypes.state_dict())
    with pytest.raises(error, match=match):
        prototypes.update(z, y)
    assert_same_state(prototypes.state_dict(), before)


@pytest.mark.parametrize(
    ("z", "extra", "error", "match"),
    [
        (Z, {}, RefusedInputError, r"push got \['z'\]; this bank stores \['label', 'score', 'z'\]"),
        (Z, {"label": Y, "score": Z}, ShapeError, r"score has shape \(2, 6\); it must be \(2, 3\)"),
        (Z, {"label": Y[:1], "score": Z[:, :3]}, ShapeError, r"label has shape \(1,\)"),
        (Z, {"label": Y.float(), "score": Z[:, :3]}, RefusedInputError, "label has dtype"),
        (Z, {"label": Y, "score": Z[:, :3].long()}, RefusedInputError, "score has dtype"),
        (Z, {"label": Y, "score": Z[:, :3] / 0}, RefusedInputError, "6 values of score are NaN"),
        (Z * torch.nan, {"label": Y, "score": Z[:, :3]}, RefusedInputError, "12 values of z"),
        (Z[0], {"label": Y, "score": Z[:, :3]}, ShapeError, r"z has shape \(6,\)"),
    ],
)
def test_push_refuses_bad_rows_and_stays_as_it_was(
    z: Tensor, extra: dict[str, Tensor], error: type[Exception], match: str
) -> None:
    bank = RingBank(3, 6, {"label": 0, "score": 3})
    bank.push(Z, label=Y, score=Z[:, :3])
    before = copy.deepcopy(bank.state_dict())
    with pytest.raises(error, match=match):
        bank.push(z, **extra)
    assert_same_state(bank.state_dict(), before)


@pytest.mark.parametrize(
    ("size", "dim", "extra", "match"),
    [
        (0, 6, None, "size must be at least 1; got 0"),
        (3, -1, None, "dim must be at least 1; got -1"),
        (3, 6, {"label": -1}, "extra 'label' has width -1"),
        (3, 6, {"a.b": 1}, "must be an identifier"),
        (3, 6, {"z": 1}, "other than z"),
    ],
)
def test_bank_refuses_sizes_and_names(
    size: int, dim: int, extra: dict[str, int] | None, match: str
) -> None:
    with pytest.raises(RefusedInputError, match=match):
        RingBank(size, dim, extra)


@pytest.mark.parametrize("m", [-0.1, 1.0, 1.5, float("nan")])
def test_momentum_outside_its_range_is_refused(m: float) -> None:
    with pytest.raises(RefusedInputError, match=r"must lie in \[0, 1\); got"):
        Prototypes(2, 6, m)


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_temperature_not_above_zero_is_refused(tau: float) -> None:
    with pytest.raises(RefusedInputError, match="tau must be above 0"):
        Prototypes(2, 6).logits(Z, tau)


def test_logits_of_another_length_or_dtype_are_refused() -> None:
    with pytest.raises(ShapeError, match="its last axis must have length 6"):
        Prototypes(2, 6).logits(torch.ones(2, 5))
    with pytest.raises(RefusedInputError, match="z has dtype"):
        Prototypes(2, 6).logits(Z.long())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_of_what_is_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(RefusedInputError, match=r"1 values of z, of shape \(1, 6\), are NaN"):
        Prototypes(2, 6).logits(torch.tensor([[bad, 0, 0, 0, 0, 0]]))


def test_state_of_another_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for vectors"):
        Prototypes(2, 6).load_state_dict(Prototypes(3, 6).state_dict())


# ---- on a GPU


@pytest.mark.gpu
@BOTH_UPDATES
def test_gpu_repeats_itself_bit_for_bit_and_agrees_with_the_cpu(update: Update) -> None:
    states = []
    for device in ("cuda", "cuda", "cpu"):
        prototypes = Prototypes(10, 64, 0.9, update).to(device)
        bank = RingBank(1000, 64, {"label": 0}).to(device)
        for seed in range(5):
            z, y = (part.to(device) for part in rows(4096, 64, 10, seed))
            prototypes.update(z, y)
            bank.push(z, label=y)
        states.append({name: part.cpu() for name, part in prototypes.state_dict().items()})
        states[-1] |= {name: part.cpu() for name, part in bank.read().items()}
    assert_same_state(states[0], states[1])
    for name, values in states[2].items():
        assert_near(states[0][name], values)
