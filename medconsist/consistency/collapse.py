"""Collapse: what a set of features tells without training on them, and with very few labels."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from medconsist.consistency.contrast import _unit
from medconsist.errors import RefusedInputError, ShapeError

__all__ = [
    "LeaveOneOut",
    "NBProbe",
    "alignment",
    "alpha_req",
    "knn_loo",
    "knn_probability",
    "rankme",
    "uniformity",
]

_SHARE_EPS = 1e-7  # RankMe's, added to every share
_ROUNDING = 1e-12  # of the largest eigenvalue: no direction of the data
_VARIANCE_FLOOR = 1e-9  # of the squared range of a feature, as in the released probe
_CHUNK = 1024  # rows compared with all others at a time


def rankme(z: Float[Tensor, "rows dim"], *, center: bool = False) -> float:
    r"""Return the effective rank of features, from 1 (collapsed) to ``min(rows, dim)``.

    :math:`\exp(-\sum_k p_k \ln p_k)`, :math:`p_k = \sigma_k / \|\sigma\|_1 + 10^{-7}`, sigma the
    singular values in float64. Garrido et al. 2023, RankMe, arXiv:2210.02885, which does not
    centre. Invariant to scale, rotation and the order of rows; the shares' epsilon lifts 1 to
    about ``1 + 16e-7 dim``.

    Look at both, raw and centred: an offset common to all rows lowers the raw value (64 normal
    features: 63.7; all 10 higher: 12.3), and centring hides a collapse to a point, of which it
    ranks the noise. Few rows lower it (64 rows: 51), tight clusters too (10 of them: 16) although
    they are what a classifier wants: an alarm for collapse and a tie-breaker between runs of one
    method at one number of rows, not a score of quality. Take as many rows of each group.

    Parameters
    ----------
    z
        Finite.
    center
        Subtract the mean row first; rows that are all equal then give 1.

    Raises
    ------
    ShapeError
        No row or no feature.
    RefusedInputError
        A value that is not finite.

    Examples
    --------
    >>> round(rankme(torch.eye(8)), 3)
    8.0
    """
    sigma = _singular_values(z, center=center)
    total = sigma.sum()
    if not total > 0:
        return 1.0
    p = sigma / total + _SHARE_EPS
    return math.exp(-float((p * p.log()).sum()))


def alpha_req(z: Float[Tensor, "rows dim"]) -> float:
    r"""Return how fast the spectrum of the covariance decays: :math:`\lambda_i \propto i^{-a}`.

    The least-squares slope of :math:`\ln \lambda_i` against :math:`\ln i`, its sign changed, over
    all eigenvalues of the centred features above 1e-12 of the largest. Near 1 is good, 0 is white,
    large is collapsed (Agrawal et al. 2022, alpha-ReQ, NeurIPS 35). Published fits leave out the
    first and last eigenvalues by eye; this one does not.

    Parameters
    ----------
    z
        Finite; at least 2 rows.

    Returns
    -------
    float
        Infinite with fewer than two such eigenvalues.

    Raises
    ------
    ShapeError
        No row or no feature.
    RefusedInputError
        A value that is not finite.

    Examples
    --------
    >>> round(alpha_req(torch.diag(torch.arange(1.0, 9.0) ** -1)), 1)
    2.0
    """
    variance = _singular_values(z, center=True).square()
    variance = variance[variance > _ROUNDING * variance.max()].sort(descending=True).values
    if len(variance) < 2:
        return math.inf
    x = torch.arange(1, len(variance) + 1, dtype=torch.float64, device=z.device).log()
    x, y = x - x.mean(), variance.log()
    return float((x * -y).sum() / x.square().sum())


def alignment(z: Float[Tensor, "rows dim"], partner: Float[Tensor, "rows dim"]) -> float:
    r"""Return :math:`E \|u - u^+\|^2` of unit features and of their positives, in [0, 4].

    0 is perfect. Wang and Isola 2020, arXiv:2005.10242.

    Parameters
    ----------
    z, partner
        Row i of both are two views of one example; made unit rows here.

    Raises
    ------
    ShapeError
        No row or no feature, or other shapes.
    RefusedInputError
        A value that is not finite, or a row of zeros.

    Examples
    --------
    >>> alignment(torch.eye(3), 2 * torch.eye(3))
    0.0
    """
    if z.shape != partner.shape:
        msg = f"the views have the shapes {tuple(z.shape)} and {tuple(partner.shape)}, not one."
        raise ShapeError(msg)
    return float((_on_sphere(z) - _on_sphere(partner)).square().sum(-1).mean())


def uniformity(z: Float[Tensor, "rows dim"], *, t: float | int = 2) -> float:
    r"""Return :math:`\ln E_{i \ne j}\, e^{-t \|u_i - u_j\|^2}` of unit features; 0 is collapsed.

    The lower the more uniform on the sphere; at t = 2 at least -8. Wang and Isola 2020,
    arXiv:2005.10242.

    Parameters
    ----------
    z
        At least 2 rows; made unit rows here.
    t
        Positive.

    Raises
    ------
    ShapeError
        Fewer than 2 rows, or no feature.
    RefusedInputError
        A value that is not finite, a row of zeros, or ``t`` not positive.

    Examples
    --------
    >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    -8.0
    """
    if len(z) < 2 or not 0 < t < math.inf:
        msg = f"got {len(z)} rows and t = {t}; allowed: 2 rows or more, and a positive number."
        raise (ShapeError if len(z) < 2 else RefusedInputError)(msg)
    unit = _on_sphere(z)
    sums = []
    for rows in _chunks(unit):
        power = 2 * t * (unit[rows] @ unit.T - 1)  # -t |u_i - u_j|^2
        power[torch.arange(len(rows), device=z.device), rows] = -math.inf
        sums.append(power.logsumexp((0, 1)))
    n_pairs = len(unit) * (len(unit) - 1)
    return float(torch.stack(sums).logsumexp(0)) - math.log(n_pairs)


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """What the neighbours of other groups say of each row.

    Parameters
    ----------
    probability
        ``rows classes``, float64.
    label
        The truth.

    Examples
    --------
    >>> vote = torch.tensor([[0.9, 0.1], [0.6, 0.4]], dtype=torch.float64)
    >>> LeaveOneOut(vote, torch.tensor([0, 1])).accuracy
    0.5
    """

    probability: Float64[Tensor, "rows classes"]
    label: Int64[Tensor, " rows"]

    @property
    def accuracy(self) -> float:
        """Share of rows whose label has most of the votes; the first class wins a tie."""
        return float((self.probability.argmax(1) == self.label).double().mean())

    def log_loss(self, *, floor: float = 1e-3) -> float:
        """Return the mean of ``-ln p(label)``, p at least ``floor``: a row may have no such vote.

        Where it lies decides much of the value; compare at one floor only.
        """
        own = self.probability.gather(1, self.label[:, None])
        return -float(own.clamp(min=floor).log().mean())


def knn_loo(
    z: Float[Tensor, "rows dim"],
    label: Int64[Tensor, " rows"],
    groups: Int64[Tensor, " rows"],
    *,
    k: int = 20,
    tau: float | int = 0.07,
) -> LeaveOneOut:
    """Let the nearest rows of other groups vote on each row; see `knn_probability`.

    Without the exclusion of the own group, of which rows are near-copies, any features look
    perfect. After Feng et al. 2022, LOOK, arXiv:2110.06014; tau is the usual one of weighted kNN
    probes (Wu et al. 2018, arXiv:1805.01978, with k = 200), neither is known to be LOOK's.

    Parameters
    ----------
    z
        Finite.
    label
        0 and more.
    groups
        Rows of one group never vote for each other; give each row its own to exclude only itself.
    k
        Neighbours that vote; fewer where fewer are left.
    tau
        Temperature of the votes.

    Raises
    ------
    ShapeError
        Other lengths, no row or no feature.
    RefusedInputError
        One group only; and as `knn_probability`.

    Examples
    --------
    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> knn_loo(z, torch.tensor([0, 0, 1, 1]), torch.arange(4), k=1).accuracy
    1.0
    """
    if not len(z) == len(label) == len(groups):
        msg = f"got {len(z)} rows, {len(label)} labels and {len(groups)} groups; give one each."
        raise ShapeError(msg)
    if len(groups) and bool((groups == groups[0]).all()):
        msg = f"all {len(groups)} rows are of one group, so that none is left to vote. Give two."
        raise RefusedInputError(msg)
    votes = [
        knn_probability(z[rows], z, label, k=k, tau=tau, exclude=groups[rows, None] == groups[None])
        for rows in _chunks(z)
    ]
    return LeaveOneOut(torch.cat(votes), label)


def knn_probability(
    z: Float[Tensor, "queries dim"],
    bank: Float[Tensor, "keys dim"],
    label: Int64[Tensor, " keys"],
    *,
    classes: int | None = None,
    k: int = 20,
    tau: float | int = 0.07,
    exclude: Bool[Tensor, "queries keys"] | None = None,
) -> Float64[Tensor, "queries classes"]:
    r"""Return the votes of the nearest keys, :math:`p(c) \propto \sum_{j: y_j = c} e^{s_j/\tau}`.

    s is the cosine; the k largest vote. A key that is a row of zeros has the cosine 0.

    Parameters
    ----------
    z, bank
        Queries and keys; finite.
    label
        Of the keys, 0 and more.
    classes
        How many; None takes those up to the largest label.
    k, tau
        Neighbours that vote, fewer where fewer are left, and temperature.
    exclude
        Keys that have no vote for a query.

    Raises
    ------
    ShapeError
        No row or no feature, or other lengths.
    RefusedInputError
        A value that is not finite, a label out of range, k below 1, tau not positive, or a query
        without a key.

    Examples
    --------
    >>> bank, label = torch.eye(2), torch.tensor([0, 1])
    >>> knn_probability(bank[:1], bank, label, k=1)
    tensor([[1., 0.]], dtype=torch.float64)
    """
    _refuse_features(z)
    _refuse_features(bank)
    votes = None if exclude is None else tuple(exclude.shape)
    if (
        len(label) != len(bank)
        or z.shape[1] != bank.shape[1]
        or votes not in (None, (len(z), len(bank)))
    ):
        msg = (
            f"got queries {tuple(z.shape)}, keys {tuple(bank.shape)}, {len(label)} labels, exclude "
            f"{votes}; give a label each key, one dim, and exclude of (queries, keys)."
        )
        raise ShapeError(msg)
    n_classes = int(label.max()) + 1 if classes is None else classes
    if k < 1 or not 0 < tau < math.inf or int(label.min()) < 0 or int(label.max()) >= n_classes:
        msg = (
            f"k, tau and labels got {k}, {tau} and {int(label.min())} to {int(label.max())}; "
            f"allowed: 1 or more, a positive number, 0 to {n_classes - 1}."
        )
        raise RefusedInputError(msg)
    cosine = _unit(z.double()) @ _unit(bank.double()).T
    if exclude is not None:
        cosine = cosine.masked_fill(exclude, -math.inf)
    nearest, place = cosine.topk(min(k, len(bank)), dim=1)
    if not bool(nearest[:, 0].isfinite().all()):
        msg = f"{int((~nearest[:, 0].isfinite()).sum())} queries have no key left to vote."
        raise RefusedInputError(msg)
    weight = (nearest / tau).softmax(1)
    return weight.new_zeros(len(z), n_classes).scatter_add_(1, label[place], weight)


class NBProbe(nn.Module):
    r"""Naive Bayes with one shared diagonal variance: a linear classifier in closed form.

    .. math:: \ln p(c | x) = \ln \pi_c - \tfrac12 \sum_d (x_d - \mu_{cd})^2 / v_d + \text{const}

    pi, mu are shares and means of the classes, :math:`v_d` the mean of the class variances
    weighted by the shares, plus 1e-9 of the squared range of the feature (the released probe
    scales features to [0, 1], which otherwise changes nothing). Zheng et al. 2023,
    arXiv:2302.02334, where its error falls with O(log n) labels against O(n) of logistic
    regression. scikit-learn's GaussianNB has a variance for each class and is not linear.

    Counts, means, sums of squared deviations and ranges are its whole state, as float64 buffers:
    it learns part by part, and probes that saw different parts `merge` to the one that saw all.
    Features that go together are counted as if they did not, so that probabilities are too near 0
    and 1: use the ranking. A class never seen has the logit -inf.

    Parameters
    ----------
    dim, classes
        Features and classes.

    Raises
    ------
    RefusedInputError
        Fewer than 1 feature or 2 classes.

    Examples
    --------
    >>> probe = NBProbe(1, 2).partial_fit(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 0]))
    >>> _ = probe.partial_fit(torch.tensor([[4.0], [5.0]]), torch.tensor([1, 1]))
    >>> probe.logits(torch.tensor([[2.0], [3.0]])).argmax(1)
    tensor([0, 1])
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    least: Tensor
    largest: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        if dim < 1 or classes < 2:
            msg = f"got {dim} features and {classes} classes; allowed: from 1 and from 2."
            raise RefusedInputError(msg)
        wide = torch.float64
        self.register_buffer("count", torch.zeros(classes, dtype=wide))
        self.register_buffer("mean", torch.zeros(classes, dim, dtype=wide))
        self.register_buffer("squares", torch.zeros(classes, dim, dtype=wide))
        self.register_buffer("least", torch.full((dim,), math.inf, dtype=wide))
        self.register_buffer("largest", torch.full((dim,), -math.inf, dtype=wide))

    @torch.no_grad()
    def partial_fit(self, z: Float[Tensor, "rows dim"], label: Int64[Tensor, " rows"]) -> "NBProbe":
        """Learn from more rows; return the probe.

        Raises
        ------
        ShapeError
            Another number of features than the probe's, or of labels than rows.
        RefusedInputError
            A value that is not finite, or a label out of range.
        """
        self._refuse(z)
        classes = len(self.count)
        if len(label) != len(z):
            msg = f"got {len(z)} rows and {len(label)} labels; give one label a row."
            raise ShapeError(msg)
        if int(label.min()) < 0 or int(label.max()) >= classes:
            msg = (
                f"labels lie in {int(label.min())} to {int(label.max())}; allowed: 0 to "
                f"{classes - 1}."
            )
            raise RefusedInputError(msg)
        z, label = z.to(self.mean), label.to(self.mean.device)
        part = NBProbe(self.mean.shape[1], classes).to(self.mean.device)
        part.count.index_add_(0, label, torch.ones_like(z[:, 0]))
        part.mean.index_add_(0, label, z).div_(part.count.clamp(min=1)[:, None])
        part.squares.index_add_(0, label, (z - part.mean[label]).square())
        part.least.copy_(z.amin(0))
        part.largest.copy_(z.amax(0))
        return self.merge(part)

    @torch.no_grad()
    def merge(self, other: "NBProbe") -> "NBProbe":
        """Learn what another probe learned from other rows; return this one.

        Chan et al. 1983, doi:10.1080/00031305.1983.10483115. The other stays as it is.

        Raises
        ------
        ShapeError
            A probe of other features or classes.
        """
        if other.mean.shape != self.mean.shape:
            msg = (
                f"the probes have {tuple(self.mean.shape)} and {tuple(other.mean.shape)} classes "
                "and features; merge probes of one shape."
            )
            raise ShapeError(msg)
        theirs = other.count.to(self.count)
        both = self.count + theirs
        share = (theirs / both.clamp(min=1))[:, None]
        apart = other.mean.to(self.mean) - self.mean
        between = apart.square() * share * self.count[:, None]
        self.squares.add_(other.squares.to(self.squares)).add_(between)
        self.mean.add_(apart * share)
        self.count.copy_(both)
        torch.minimum(self.least, other.least.to(self.least), out=self.least)
        torch.maximum(self.largest, other.largest.to(self.largest), out=self.largest)
        return self

    def logits(self, z: Float[Tensor, "rows dim"]) -> Float64[Tensor, "rows classes"]:
        """Return ``ln p(c | x)`` but for a constant of each row: linear in x.

        Raises
        ------
        ShapeError
            Another number of features than the probe's.
        RefusedInputError
            A value that is not finite, or a probe that has learned nothing.
        """
        self._refuse(z)
        total = self.count.sum()
        if not total > 0:
            msg = "the probe has learned nothing yet; give it rows by partial_fit first."
            raise RefusedInputError(msg)
        spread = self.largest - self.least
        variance = self.squares.sum(0) / total + _VARIANCE_FLOOR * spread.square()
        # a feature that never varied tells nothing
        precision = torch.where(spread > 0, 1 / variance.where(spread > 0, 1.0), 0.0)
        # about the mean of all, or large offsets would cancel in the sum
        centre = (self.count[:, None] * self.mean).sum(0) / total
        mean = self.mean - centre
        weight = mean * precision
        bias = (self.count / total).log() - (weight * mean).sum(1) / 2
        return (z.to(self.mean) - centre) @ weight.T + bias

    def predict_log_proba(self, z: Float[Tensor, "rows dim"]) -> Float64[Tensor, "rows classes"]:
        """Return ``ln p(c | x)``; raises as `logits` does."""
        return self.logits(z).log_softmax(1)

    def forward(self, z: Float[Tensor, "rows dim"]) -> Float64[Tensor, "rows classes"]:
        """Return `logits`."""
        return self.logits(z)

    def _apply(
        self,
        fn: Callable[[Tensor], Tensor],
        recurse: bool = True,  # noqa: FBT001, FBT002 - torch's signature
    ) -> "NBProbe":
        """Follow every move, but stay float64: sums of squares do not fit into less."""

        def keep_wide(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype != tensor.dtype else moved

        super()._apply(keep_wide, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        return self

    def _refuse(self, z: Tensor) -> None:
        _refuse_features(z)
        if z.shape[1] != self.mean.shape[1]:
            msg = f"got {z.shape[1]} features; the probe has {self.mean.shape[1]}."
            raise ShapeError(msg)


def _singular_values(z: Tensor, *, center: bool) -> Tensor:
    _refuse_features(z)
    wide = z.detach().double()
    if center:
        wide = wide - wide.mean(0)
    rows, dim = wide.shape
    if max(rows, dim) <= 2 * min(rows, dim):
        return torch.linalg.svdvals(wide)
    # the smaller Gram matrix: its eigenvalues are the squares, at half the digits
    gram = wide.T @ wide if rows > dim else wide @ wide.T
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()


def _on_sphere(z: Tensor) -> Tensor:
    _refuse_features(z)
    if bool((z == 0).all(1).any()):
        msg = f"{int((z == 0).all(1).sum())} of {len(z)} rows are zero and have no direction."
        raise RefusedInputError(msg)
    return _unit(z.detach().double())


def _chunks(z: Tensor) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(len(z), device=z.device), _CHUNK)


def _refuse_features(z: Tensor) -> None:
    if z.ndim != 2 or not z.numel():
        msg = f"features are (rows, dim), both 1 or more; got {tuple(z.shape)}."
        raise ShapeError(msg)
    if not bool(z.isfinite().all()):
        n_bad = int((~z.isfinite()).sum())
        msg = f"{n_bad} of {z.numel()} features are not finite. Look at what made them."
        raise RefusedInputError(msg)
