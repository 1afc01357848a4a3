"""The teacher: an average, or a copy, of a student, that answers and never learns."""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves, tree_map_only

from medconsist.consistency._snapshot import Snapshot
from medconsist.consistency.schedules import Schedule
from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["Teacher"]

_WIDER = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.complex32: torch.complex64,
}
_SHOWN = 5


class Teacher(nn.Module):
    """Average of a student: ``teacher <- m teacher + (1 - m) student``, m the share of the OLD.

    The construction copies the student, s_0; updates are counted t = 1, 2, ... and none of them
    copies unless the rule says so:

    ============== ================================================================
    rule           parameters after update t
    ============== ================================================================
    ema            ``m_t`` teacher + ``(1 - m_t)`` student, ``m_t`` from ``momentum``
    running_mean   arithmetic mean of s_0 ... s_t, that is ``m_t = t / (t + 1)``
    copy           the student, bit by bit (m = 0): a stop-gradient self-teacher
    frozen         unchanged (m = 1), buffers too
    ============== ================================================================

    Parameters are averaged; buffers are copied from the student, or averaged too with
    ``buffers="ema"`` (whole numbers and entries that are not finite are always copied). Half
    precision is kept as a 32-bit master: at m = 0.9997 a bfloat16 average never moves. Half
    precision inputs are widened for the forward pass and its outputs narrowed again.

    It never receives gradients: parameters do not require them, ``forward`` runs without a graph
    and returns detached tensors. It is always in eval mode, whatever ``train()`` is called on; its
    dropout alone may follow (see ``dropout``).
    ``torch.optim.swa_utils.AveragedModel`` does none of this, copies at its first update and pairs
    parameters by position.

    Distributed: call ``update`` on every rank with the wrapped student; the buffers, which
    ``DistributedDataParallel`` lets drift apart between forward passes, are taken from the first
    rank. ``state_dict`` holds the average and the count of updates, so that a restored teacher goes
    on bit by bit; the rule and the momentum are the caller's to repeat.

    Parameters
    ----------
    student
        Copied; wrappers of ``torch.compile`` and ``DistributedDataParallel`` are taken off.
    momentum
        Share of the old value in [0, 1], constant from update 1 on, or a schedule of t
        (``ema_warmup(alpha)`` for a warm-up). Only the rule ema reads it.
    rule
        See the table.
    buffers
        What becomes of the buffers.
    bn
        ``"eval"`` normalises with the stored statistics, ``"batch"`` with those of its own input;
        the stored ones are left alone in both.
    dropout
        ``"off"`` never drops; ``"train"`` drops between ``train()`` and ``eval()``, so that targets
        are noisy while the student learns. Modules of torch's dropout family only.

    Raises
    ------
    RefusedInputError
        Momentum outside [0, 1]; a student that cannot be copied or is not initialised yet.

    Examples
    --------
    >>> student = nn.Linear(3, 2)
    >>> teacher = Teacher(student, momentum=0.9)
    >>> _ = nn.init.zeros_(student.weight)
    >>> teacher.update(student)
    0.9
    >>> teacher(torch.ones(1, 3)).requires_grad
    False
    """

    updates: Tensor

    def __init__(
        self,
        student: nn.Module,
        momentum: float | int | Schedule = 0.999,
        rule: Literal["ema", "running_mean", "frozen", "copy"] = "ema",
        buffers: Literal["copy", "ema"] = "copy",
        bn: Literal["eval", "batch"] = "eval",
        dropout: Literal["off", "train"] = "off",
    ) -> None:
        super().__init__()
        _require_choice("rule", rule, ("ema", "running_mean", "frozen", "copy"))
        _require_choice("buffers", buffers, ("copy", "ema"))
        _require_choice("bn", bn, ("eval", "batch"))
        _require_choice("dropout", dropout, ("off", "train"))
        if not callable(momentum):
            _require_share(momentum)
        self.momentum, self.rule, self.buffer_policy, self.bn = momentum, rule, buffers, bn
        self.dropout = dropout
        self.model = _copy_of(_unwrap(student)).requires_grad_(requires_grad=False)
        self._apply(_widen)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]  # untyped in torch
            _refuse_other_shapes
        )
        self.eval()

    def train(self, mode: bool = True) -> "Teacher":  # noqa: FBT001, FBT002 - torch's
        """Stay in eval mode, but for what ``bn`` and ``dropout`` let through."""
        super().train(mode=False)
        if self.dropout == "train":
            for module in self.model.modules():
                if isinstance(module, _DropoutNd):
                    module.training = mode
        if self.bn == "batch":
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.training = True
                    # batch statistics without touching the stored ones
                    module.track_running_stats = False
        return self

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the student's own
        """Return what the averaged model answers, detached; dtype and device of the input."""
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        half = next((x for x in tensors if x.dtype in _WIDER), None)
        if half is None or torch.is_autocast_enabled(half.device.type):
            return tree_map_only(Tensor, torch.Tensor.detach, self.model(*args, **kwargs))
        args, kwargs = tree_map_only(Tensor, _widen, (args, kwargs))
        narrower = {_WIDER[half.dtype]: half.dtype}
        answer = self.model(*args, **kwargs)
        return tree_map_only(
            Tensor, lambda x: x.detach().to(narrower.get(x.dtype, x.dtype)), answer
        )

    @torch.no_grad()
    def update(self, student: nn.Module) -> float:
        """Move towards the student after its optimiser step; return the m that was used.

        Parameters
        ----------
        student
            Same names and shapes as the one copied; wrappers are taken off.

        Raises
        ------
        ShapeError
            Names or shapes of its parameters or buffers differ.
        RefusedInputError
            A parameter is not finite, real where the teacher's is complex, or the schedule left
            [0, 1]. The teacher is then unchanged.
        """
        source = _unwrap(student)
        _require_same(_tensors(self.model), _tensors(source))
        step = int(self.updates) + 1
        m = self._share(step)
        if self.rule != "frozen":
            _require_finite(source)
            self._average(source, m)
            _take_buffers_of_first_rank(self.model, student)
        self.updates.fill_(step)
        return m

    @contextmanager
    def lookahead(
        self,
        student: nn.Module,
        optimizer: torch.optim.Optimizer,
        step_fn: Callable[["Teacher"], object],
        k: int = 3,
        *,
        generators: Sequence[torch.Generator] = (),
    ) -> Generator["Teacher", None, None]:
        """Give the teacher that k virtual steps of the student would lead to.

        k times: ``step_fn(future)`` trains the student against ``future``, a copy of this teacher,
        which then averages it. Before the block runs, and again when it ends or fails, the
        student's parameters, gradients, buffers and modes, the optimiser's state and options and
        the random states (torch, numpy, Python, ``generators``) are put back bit by bit; this
        teacher is not touched. The given teacher stays valid after the block: take the real step
        there, then advance this teacher once. With k = 0 it is a copy of this teacher.

        FST-D of Du et al. 2022 (arXiv:2209.06993). Their code restores the parameters only, so that
        Adam's moments and step count, buffers and random states of the virtual steps leak into
        the real one, and advances the teacher k + 1 times for each real step.

        Parameters
        ----------
        student
            The module that ``step_fn`` trains.
        optimizer
            What ``step_fn`` steps; holds no parameter of a teacher.
        step_fn
            One whole step: clear gradients, forward, backward, ``optimizer.step()``. It must not
            step a learning-rate scheduler or a gradient scaler, which are not put back.
        k
            Number of virtual steps; each costs as much as a real one.
        generators
            Random generators that ``step_fn`` or the block draw from.

        Raises
        ------
        RefusedInputError
            k is negative, the optimiser holds a parameter of this teacher, or the block moved the
            student: that step has been undone.

        Examples
        --------
        >>> student = nn.Linear(2, 1)
        >>> adam, teacher = torch.optim.AdamW(student.parameters()), Teacher(student)
        >>> with teacher.lookahead(student, adam, lambda future: adam.step(), k=2) as future:
        ...     target = future(torch.ones(1, 2))
        >>> int(future.updates), int(teacher.updates)
        (2, 0)
        """
        self._require_lookahead(optimizer, k)
        before = Snapshot(_unwrap(student), optimizer, generators)
        future = copy.deepcopy(self)
        try:
            for _ in range(k):
                step_fn(future)
                future.update(student)
            before.restore()
            yield future
            moved = before.moved()
        finally:
            before.restore()
        if moved:
            msg = (
                "the student was trained inside the look-ahead block, and that was undone with the "
                "virtual steps; compute targets inside, take the real step after the block."
            )
            raise RefusedInputError(msg)

    def _apply(
        self,
        fn: Callable[[Tensor], Tensor],
        recurse: bool = True,  # noqa: FBT001, FBT002 - torch's signature
    ) -> "Teacher":
        """Follow every move, but stay 32 bits wide when all around turns to half precision."""

        def keep_master(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in _WIDER else moved

        super()._apply(keep_master, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        return self

    def _share(self, step: int) -> float:
        """Return the share of the old value at update ``step``, counted from 1."""
        match self.rule:
            case "running_mean":
                return step / (step + 1)
            case "copy":
                return 0.0
            case "frozen":
                return 1.0
        momentum = self.momentum
        m = float(momentum(step) if callable(momentum) else momentum)
        _require_share(m)
        return m

    def _average(self, source: nn.Module, m: float) -> None:
        old, new = dict(self.model.named_parameters()), dict(source.named_parameters())
        _lerp(list(old.values()), [new[name] for name in old], m)
        held, given = dict(self.model.named_buffers()), dict(source.named_buffers())
        for name, buffer in held.items():
            fresh = given[name].to(buffer)
            if self.buffer_policy == "ema" and (buffer.is_floating_point() or buffer.is_complex()):
                mean = torch.lerp(buffer, fresh, 1.0 - m)
                # a constant such as -inf must not turn into inf - inf
                fresh = torch.where(mean.isfinite(), mean, fresh)
            buffer.copy_(fresh)

    def _require_lookahead(self, optimizer: torch.optim.Optimizer, k: int) -> None:
        if k < 0:
            msg = f"k is the number of virtual steps, at least 0; got {k}."
            raise RefusedInputError(msg)
        own = {id(p) for p in self.parameters()}
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        if any(id(p) in own for p in trained):
            msg = "the optimiser holds parameters of the teacher; give it the student's only."
            raise RefusedInputError(msg)


def _lerp(old: list[Tensor], new: list[Tensor], m: float) -> None:
    """Set ``old <- m old + (1 - m) new`` in place; at m = 0 the new, bit by bit."""
    if not old:
        return
    new = [n.detach().to(o) for n, o in zip(new, old, strict=True)]
    if m == 0.0:
        torch._foreach_copy_(old, new)
    else:
        torch._foreach_lerp_(old, new, 1.0 - m)


def _unwrap(model: nn.Module) -> nn.Module:
    """Take off the wrappers of ``torch.compile`` and of data parallelism, in any order."""
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _copy_of(student: nn.Module) -> nn.Module:
    if any(is_lazy(t) for t in _tensors(student).values()):
        msg = "the student has lazy parameters without shapes; run it once, then build the teacher."
        raise RefusedInputError(msg)
    try:
        return copy.deepcopy(student)
    except (RuntimeError, TypeError) as error:
        msg = (
            f"the student cannot be copied: {error}. Attributes that are results of a computation "
            "cannot; the old torch.nn.utils.weight_norm makes them, use parametrizations instead."
        )
        raise RefusedInputError(msg) from error


def _widen(tensor: Tensor) -> Tensor:
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _require_same(
    held: Mapping[str, Tensor], given: Mapping[str, Tensor], *, given_by: str = "student"
) -> None:
    """Refuse other names, other shapes, or real for complex; name the first few."""
    wrong = [
        f"{name}: teacher {_shape(held.get(name))}, {given_by} {_shape(given.get(name))}"
        for name in {**held, **given}
        if _shape(held.get(name)) != _shape(given.get(name))
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        msg = (
            f"the {given_by} does not have the teacher's structure: {'; '.join(wrong[:_SHOWN])}"
            f"{more}. Build the teacher from a student of the same architecture."
        )
        raise ShapeError(msg)
    mixed = [name for name in held if held[name].is_complex() != given[name].is_complex()]
    if mixed:
        msg = (
            f"teacher and {given_by} mix real and complex in {mixed[:_SHOWN]}; "
            "build the teacher from a student of the same dtypes."
        )
        raise RefusedInputError(msg)


def _shape(tensor: Tensor | None) -> tuple[int, ...] | Literal["none"]:
    return "none" if tensor is None else tuple(tensor.shape)


def _require_finite(source: nn.Module) -> None:
    """Refuse parameters that are not finite: an average never forgets a NaN."""
    named = {name: p.detach() for name, p in source.named_parameters()}
    # A sum is not finite if a term is not; cheaper than the norms, and one transfer in all.
    sums = [p.sum().isfinite() for p in named.values()]
    if not sums or bool(torch.stack([s.to(sums[0].device) for s in sums]).all()):
        return
    bad = [name for name, p in named.items() if not bool(p.isfinite().all())]
    if bad:
        msg = (
            f"the student's parameters {bad[:_SHOWN]} are not finite, and an average never "
            "forgets that; the teacher is unchanged. Skip the step that made them so."
        )
        raise RefusedInputError(msg)


def _take_buffers_of_first_rank(model: nn.Module, student: nn.Module) -> None:
    """Make the buffers equal on all ranks, if the student is wrapped for several."""
    while isinstance(inner := getattr(student, "_orig_mod", None), nn.Module):
        student = inner
    if not isinstance(student, DistributedDataParallel):
        return
    group = student.process_group
    for buffer in model.buffers():
        sent = torch.view_as_real(buffer) if buffer.is_complex() else buffer
        message = sent.contiguous()
        dist.broadcast(message, dist.get_global_rank(group, 0), group=group)
        sent.copy_(message)


def _refuse_other_shapes(
    teacher: nn.Module,
    state: Mapping[str, Any],
    prefix: str,
    *_: Any,  # noqa: ANN401 - torch's signature: metadata and lists to fill
) -> None:
    """Refuse tensors of other shapes before any is loaded; torch reports missing names itself."""
    held = teacher.state_dict()
    given = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix) and isinstance(tensor, Tensor)
    }
    common = [name for name in held if name in given]
    _require_same({n: held[n] for n in common}, {n: given[n] for n in common}, given_by="state")


def _require_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(allowed)}; got {value!r}."
        raise RefusedInputError(msg)


def _require_share(m: float | int) -> None:
    if not 0.0 <= m <= 1.0:
        msg = f"momentum is the share of the old value, in [0, 1]; got {m}."
        raise RefusedInputError(msg)
