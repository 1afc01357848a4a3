"""Memories of embeddings: a ring of the last ones, and one moving centre per class.

Under ``torch.distributed`` every process hands in its own rows, of any number, none included.
They are gathered in order of rank and written identically everywhere, so the state is the one
that a single process would reach with all rows in one batch. Every process must make the same
calls; when one refuses its rows, all raise.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  (torch's own spelling)
from torch import Tensor, nn

from medconsist.errors import MedconsistError, RefusedInputError, ShapeError
from medconsist.shapes import Array

__all__ = ["Prototypes", "RingBank"]

HISTORY = 10  # batches per class that the similarity gate looks back on, as in CTVIS


class _Memory(nn.Module):
    """Buffers that keep their precision: a bfloat16 sum would stand still at m = 0.999."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:  # noqa: FBT001, FBT002  (torch's signature)
        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(move, recurse)  # type: ignore[no-untyped-call]  # torch's own has no types


class RingBank(_Memory):
    """The last ``size`` embeddings with what is known of each; the oldest is overwritten.

    Pushing a batch leaves the same bank as pushing its rows one by one, also when the batch does
    not divide ``size`` or exceeds it. The state is in buffers: ``z`` in float32 whatever the
    precision of the embeddings, and it stays so when the module is cast.

    Parameters
    ----------
    size
        Number of slots, at least 1.
    dim
        Length of an embedding.
    extra
        Name and width of what is stored beside an embedding: a width of ``w >= 1`` stores
        ``entries w`` in float32, a width of 0 one integer per entry (a class, an id) as int64.

    Raises
    ------
    RefusedInputError
        A size or width out of range, or a name that is no identifier.

    References
    ----------
    He et al., Momentum Contrast, CVPR 2020, arXiv:1911.05722 (the queue). No push needs the size
    to be a multiple of the batch, and slots never written are never read.

    Examples
    --------
    >>> import torch
    >>> bank = RingBank(3, dim=2, extra={"label": 0})
    >>> bank.push(torch.ones(2, 2), label=torch.tensor([4, 5]))
    >>> bank.push(torch.zeros(2, 2), label=torch.tensor([6, 7]))
    >>> bank.read()["label"].tolist()
    [7, 5, 6]
    """

    pushed: Tensor

    def __init__(self, size: int, dim: int, extra: dict[str, int] | None = None) -> None:
        super().__init__()
        _require_positive(size=size, dim=dim)
        widths = dict(extra or {})
        for name, width in widths.items():
            if width < 0 or not name.isidentifier() or name in {"z", "self"}:
                msg = (
                    f"extra {name!r} has width {width}; a name must be an identifier other than z, "
                    "a width 0 (one integer per entry) or more (a float vector)."
                )
                raise RefusedInputError(msg)
        self.size = size
        self.dim = dim
        self.extra = widths
        self._full = False
        self.register_buffer("entries_z", torch.zeros(size, dim))
        for name, width in widths.items():
            stored = torch.zeros(size, width) if width else torch.zeros(size, dtype=torch.int64)
            self.register_buffer(f"entries_{name}", stored)
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, z: Array, **extra: Array) -> None:
        """Write the embeddings and what belongs to them over the oldest entries.

        One check per call waits for the device; nothing else does.

        Parameters
        ----------
        z
            Embeddings, ``entries dim``; stored as given, without gradient. May be empty.
        **extra
            Every name given to the constructor: ``entries width``, or ``entries`` for width 0.

        Raises
        ------
        ShapeError
            A shape other than these.
        RefusedInputError
            A name missing or unknown, a dtype or device that does not fit, or NaN or infinity.
        """
        rows = {"z": z, **extra}
        error = _first_error(lambda: self._check(rows))
        names = ["z", *self.extra]
        stored = [self._stored(name) for name in names]
        written = _everywhere([rows.get(name, z) for name in names], stored, error)
        n_new = len(written[0])
        n_kept = min(n_new, self.size)
        first = self.pushed + (n_new - n_kept)
        slots = (first + torch.arange(n_kept, device=self.pushed.device)) % self.size
        for target, new in zip(stored, written, strict=True):
            target.index_copy_(0, slots, new[n_new - n_kept :])
        self.pushed += n_new

    def read(self) -> dict[str, Tensor]:
        """Return copies of the entries written so far, by name, the embeddings as ``"z"``.

        Rows are in order of slot, not of age; a later ``push`` does not change what was read.
        """
        n_valid = self._count()
        return {name: self._stored(name)[:n_valid].clone() for name in ("z", *self.extra)}

    def _count(self) -> int:
        """Return the number of slots written so far."""
        # a full bank stays full: only a filling one asks the device
        n_valid = self.size if self._full else min(int(self.pushed), self.size)
        self._full = n_valid == self.size
        return n_valid

    def _stored(self, name: str) -> Tensor:
        return self.get_buffer(f"entries_{name}")

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (torch's signature)
        super()._load_from_state_dict(*args, **kwargs)
        self._full = False

    def _check(self, rows: dict[str, Tensor]) -> None:
        if set(rows) != {"z", *self.extra}:
            msg = f"push got {sorted(rows)}; this bank stores {sorted({'z', *self.extra})}."
            raise RefusedInputError(msg)
        _check_embeddings(rows["z"], self._stored("z"))
        n_new = len(rows["z"])
        for name, width in self.extra.items():
            wanted = (n_new, width) if width else (n_new,)
            if tuple(rows[name].shape) != wanted:
                msg = f"{name} has shape {tuple(rows[name].shape)}; it must be {wanted}, as z has."
                raise ShapeError(msg)
            check = _check_floating if width else _check_integers
            check(name, rows[name])
            _check_device(name, rows[name], self.pushed)
        _refuse({f"values of {name} are NaN or infinite": _not_finite(rows[name]) for name in rows})


class Prototypes(_Memory):
    """One moving centre of unit length per class, updated by a batch at once.

    With the embeddings ``f_1 ... f_n`` of one class in the batch, each scaled to unit length, and
    gates ``b_i`` in [0, 1 - m], the centre ``p`` of that class becomes the direction of::

        M p + (1 - M) sum_i b_i f_i / sum_i b_i,      M = prod_i (1 - b_i)

    The update ``"ema"`` takes ``b_i = 1 - m``, so ``M = m^n`` and ``p`` moves to
    ``m^n p + (1 - m^n) mean f``: the mean over all orders of the rows of updating one row at a
    time, ``p <- m p + (1 - m) f``. The loop itself depends on the order, since a late row weighs
    more; the released code of INS runs it and scales to unit length only after it.

    The update ``"similarity"`` takes ``b_i = min(max(0, mean_k cos(f_i, h_k)), 1 - m)``, where
    ``h_k`` are the mean embeddings of the class in its last 10 batches: an outlier counts for
    nothing, and the cap keeps a redundant stream from replacing the centre at once. A class
    without history takes ``1 - m``. A batch that stands against the whole history is remembered
    in it, so a lasting change is followed in the end.

    Centres start at zero: a class never seen keeps the zero vector and scores 0. A class absent
    from a batch is bit for bit unchanged; so is one whose rows cancel. Sums are made in float64
    and kept in float32, whatever precision the embeddings have.

    Parameters
    ----------
    k
        Number of classes.
    dim
        Length of an embedding.
    m
        Share of the old centre at each row, in [0, 1).
    update
        Which gate the rows pass.

    Raises
    ------
    RefusedInputError
        ``k`` or ``dim`` below 1, ``m`` outside [0, 1), or an unknown update.

    References
    ----------
    Update and scores: INS, arXiv:2307.02249 (m = 0.9). Gate: CTVIS, ICCV 2023,
    arXiv:2307.12616, which has neither cap nor classes.

    Examples
    --------
    >>> import torch
    >>> prototypes = Prototypes(2, dim=2, m=0.5)
    >>> prototypes.update(torch.eye(2), torch.tensor([1, 1]))
    >>> prototypes.vectors.tolist()
    [[0.0, 0.0], [0.7071067690849304, 0.7071067690849304]]
    """

    vectors: Tensor
    history: Tensor
    batches_seen: Tensor

    def __init__(
        self,
        k: int,
        dim: int,
        m: float | int = 0.9,
        update: Literal["ema", "similarity"] = "ema",
    ) -> None:
        super().__init__()
        _require_positive(k=k, dim=dim)
        if not 0.0 <= m < 1.0:
            msg = f"m, the share of the old centre, must lie in [0, 1); got {m}. INS takes 0.9."
            raise RefusedInputError(msg)
        if update not in {"ema", "similarity"}:
            msg = f"update must be 'ema' or 'similarity'; got {update!r}."
            raise RefusedInputError(msg)
        self.k = k
        self.dim = dim
        self.m = float(m)
        self.gated = update == "similarity"
        self.register_buffer("vectors", torch.zeros(k, dim))
        if self.gated:
            self.register_buffer("history", torch.zeros(k, HISTORY, dim))
            self.register_buffer("batches_seen", torch.zeros(k, dtype=torch.int64))

    @torch.no_grad()
    def update(self, z: Array, y: Array) -> None:
        """Move the centres of the classes that occur in ``y`` towards their embeddings.

        One check per call waits for the device; nothing else does.

        Parameters
        ----------
        z
            Embeddings, ``rows dim``, of any length but used at unit length. May be empty.
        y
            Class of each row, ``rows``, integers in [0, k).

        Raises
        ------
        ShapeError
            Other shapes.
        RefusedInputError
            A class out of range, a dtype or device that does not fit, or NaN or infinity.
        """
        error = _first_error(lambda: self._check(z, y))
        label_like = torch.zeros(0, dtype=torch.int64, device=self.vectors.device)
        features, labels = _everywhere([z, y], [self.vectors, label_like], error)
        if len(labels) == 0:
            return
        features = F.normalize(features, dim=1)
        gate = self._gate(features, labels)
        # a float64 gate makes float64 products, so that the order of the sum cannot be seen
        total = _sum_by_class(gate * features, labels, self.k)
        gates = _sum_by_class(torch.cat([gate, torch.log1p(-gate)], 1), labels, self.k)
        weight, log_kept = gates[:, :1], gates[:, 1:]
        share = -torch.expm1(log_kept)
        # a class without weight divides by 1 here and is left out below
        mean = total / torch.where(weight > 0, weight, 1.0)
        moved = (1 - share) * self.vectors + share * mean
        length = moved.norm(dim=1, keepdim=True)
        unit = (moved / torch.where(length > 0, length, 1.0)).to(self.vectors.dtype)
        self.vectors.copy_(torch.where((weight > 0) & (length > 0), unit, self.vectors))
        if self.gated:
            self._remember(features, labels)

    def logits(self, z: Array, tau: float | int = 1.0) -> Tensor:
        """Return the cosine with every centre over the temperature, ``... k``, in z's dtype.

        The gradient reaches ``z`` and no centre; a later ``update`` leaves it as it was.

        Parameters
        ----------
        z
            Embeddings, ``... dim``.
        tau
            Temperature, above 0. INS takes none, which is 1.

        Raises
        ------
        ShapeError
            The last axis is not ``dim``.
        RefusedInputError
            A temperature not above 0, or embeddings that are not floating point or not finite.
        """
        if not tau > 0.0:
            msg = f"tau must be above 0; got {tau}."
            raise RefusedInputError(msg)
        if z.ndim == 0 or z.shape[-1] != self.dim:
            msg = f"z has shape {tuple(z.shape)}; its last axis must have length {self.dim}."
            raise ShapeError(msg)
        _check_floating("z", z)
        n_bad = int((~z.isfinite()).sum())
        if n_bad:
            msg = f"{n_bad} values of z, of shape {tuple(z.shape)}, are NaN or infinite."
            raise RefusedInputError(msg)
        dtype = torch.promote_types(z.dtype, self.vectors.dtype)
        # autograd saves the copy, so that updating before backward is allowed
        centres = self.vectors.to(dtype, copy=True)
        return (F.normalize(z.to(dtype), dim=-1) @ centres.T / tau).to(z.dtype)

    def _check(self, z: Tensor, y: Tensor) -> None:
        _check_embeddings(z, self.vectors)
        if tuple(y.shape) != (len(z),):
            msg = f"y has shape {tuple(y.shape)}; it must be {(len(z),)}, one class per row of z."
            raise ShapeError(msg)
        _check_integers("y", y)
        _check_device("y", y, self.vectors)
        _refuse(
            {
                "values of z are NaN or infinite": _not_finite(z),
                f"classes lie outside [0, {self.k})": (y < 0) | (y >= self.k),
            }
        )

    def _gate(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the weight of each row, ``rows 1``."""
        cap = torch.full_like(labels, 1.0 - self.m, dtype=torch.float64).unsqueeze(1)
        if not self.gated:
            return cap
        n_known = self.batches_seen.clamp(max=HISTORY).unsqueeze(1)
        mean_history = self.history.sum(1) / n_known.clamp(min=1)
        similarity = (features * mean_history[labels]).sum(1, keepdim=True).double()
        return torch.where(n_known[labels] > 0, similarity.clamp(min=0.0).minimum(cap), cap)

    def _remember(self, features: Tensor, labels: Tensor) -> None:
        """Store the direction of each class's mean embedding over its oldest batch."""
        total = _sum_by_class(features.double(), labels, self.k)
        length = total.norm(dim=1, keepdim=True)
        present = length > 0
        direction = (total / torch.where(present, length, 1.0)).to(self.history.dtype)
        classes, oldest = torch.arange(self.k, device=total.device), self.batches_seen % HISTORY
        self.history[classes, oldest] = torch.where(
            present, direction, self.history[classes, oldest]
        )
        self.batches_seen += present.squeeze(1)


def _sum_by_class(rows: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the sum of the rows of each class, ``classes columns``, the same on every run."""
    sums = rows.new_zeros(n_classes, rows.shape[1])
    if rows.is_cuda:
        # index_add_ adds in no fixed order on CUDA, and processes would drift apart
        return sums.index_put_((labels,), rows, accumulate=True)
    return sums.index_add_(0, labels, rows)


def _everywhere(
    rows: list[Tensor], like: list[Tensor], error: MedconsistError | None
) -> list[Tensor]:
    """Return the rows of all processes in order of rank, in the dtypes of ``like``.

    An error of this process is raised here and not before, so that no other one waits for rows
    that never come: they raise as well.
    """
    if not (dist.is_available() and dist.is_initialized()):
        if error is not None:
            raise error
        return [part.to(target.dtype) for part, target in zip(rows, like, strict=True)]
    n_own = torch.tensor([-1 if error is not None else len(rows[0])], device=like[0].device)
    counts = [torch.empty_like(n_own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, n_own)
    n_rows = torch.cat(counts).tolist()
    if error is not None:
        raise error
    if min(n_rows) < 0:
        refused = [rank for rank, count in enumerate(n_rows) if count < 0]
        msg = f"processes {refused} refused their rows, so nothing was written; see their errors."
        raise RefusedInputError(msg)
    return [_gather(part.to(target.dtype), n_rows) for part, target in zip(rows, like, strict=True)]


def _gather(part: Tensor, n_rows: list[int]) -> Tensor:
    """Gather parts of unequal length; the collective wants equal ones, so they are padded."""
    padded = part.new_zeros(max(n_rows), *part.shape[1:])
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in n_rows]
    dist.all_gather(parts, padded)
    return torch.cat([whole[:count] for whole, count in zip(parts, n_rows, strict=True)])


def _first_error(check: Callable[[], None]) -> MedconsistError | None:
    try:
        check()
    except MedconsistError as error:
        return error
    return None


def _require_positive(**lengths: int) -> None:
    for name, length in lengths.items():
        if length < 1:
            msg = f"{name} must be at least 1; got {length}."
            raise RefusedInputError(msg)


def _check_embeddings(z: Tensor, stored: Tensor) -> None:
    if z.ndim != 2 or z.shape[1] != stored.shape[1]:
        msg = (
            f"z has shape {tuple(z.shape)}; it must be (rows, {stored.shape[1]}). "
            "Flatten the leading axes first."
        )
        raise ShapeError(msg)
    _check_floating("z", z)
    _check_device("z", z, stored)


def _check_floating(name: str, values: Tensor) -> None:
    if not values.is_floating_point():
        msg = f"{name} has dtype {values.dtype}; it must be real floating point."
        raise RefusedInputError(msg)


def _check_integers(name: str, values: Tensor) -> None:
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        msg = f"{name} has dtype {values.dtype}; it must hold integers. Convert with .long()."
        raise RefusedInputError(msg)


def _check_device(name: str, values: Tensor, stored: Tensor) -> None:
    if values.device != stored.device:
        msg = f"{name} is on {values.device} and the memory on {stored.device}; move one of them."
        raise RefusedInputError(msg)


def _not_finite(values: Tensor) -> Tensor:
    """Return where float32, in which all is kept, cannot hold the values."""
    return ~values.float().isfinite()


def _refuse(faults: dict[str, Tensor]) -> None:
    """Raise when a fault occurs anywhere; good rows cost one transfer from the device."""
    if not torch.stack([where.any() for where in faults.values()]).any():
        return
    found = [f"{int(where.sum())} {fault}" for fault, where in faults.items() if where.any()]
    msg = f"{'; '.join(found)}. A memory would keep them: leave out those rows."
    raise RefusedInputError(msg)
