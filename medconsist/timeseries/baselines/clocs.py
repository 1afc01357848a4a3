"""CLOCS: adjacent halves, or leads, of a recording agree; so do recordings of one patient."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medconsist.consistency.contrast import info_nce, positives_from_ids
from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.first_weights import first_weights
from medconsist.timeseries.baselines.inputs import require_pairs, require_windows
from medconsist.timeseries.baselines.settings import require_settings
from medconsist.timeseries.baselines.two_views import widened
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize

__all__ = ["Clocs", "ClocsConfig", "patient_loss"]

Views = Literal["cmsc", "cmlc", "cmsmlc"]
_PUBLISHED, _SHORT = (3, 0), (1, 3)  # stride and padding of a convolution of 7 taps
_KERNEL = 7


@dataclass(frozen=True, kw_only=True)
class ClocsConfig:
    """Settings of CLOCS.

    Parameters
    ----------
    views
        ``"cmsc"``: the two halves of each lead; ``"cmlc"``: any two leads of each half;
        ``"cmsmlc"``: any two of all halves and leads. The latter two need two leads.
    widths
        Of the three convolutions, as published.
    dropout
        After each of them.
    embedding
        Length of a feature of a half of a lead; 320, 256, 128, 64 and 32 are published.
    layout
        ``"published"``: stride 3 without padding, made for halves of 2500 samples, needs 388;
        ``"short"``: stride 1 with padding; ``"by length"``: published where it fits.
    joined
        Features of a window: ``"mean"`` over leads and halves, or ``"beside"`` each other by lead.
    tau
        Temperature.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> ClocsConfig().views
    'cmsc'
    """

    views: Views = "cmsc"
    widths: tuple[int, int, int] = (4, 16, 32)
    dropout: float | int = 0.1
    embedding: int = 128
    layout: Literal["by length", "published", "short"] = "by length"
    joined: Literal["mean", "beside"] = "mean"
    tau: float | int = 0.1

    def __post_init__(self) -> None:
        require_settings(self)


class Clocs(Pretext):
    """CLOCS (Kiyasseh et al. 2021, arXiv:2005.13249), for any number of leads.

    One network for single leads encodes both halves of each lead (the middle sample of a window of
    odd length is left out). Two halves or leads are two views of the window, which `patient_loss`
    compares with those of all windows of the batch; the mean over all pairs of views is the loss.
    A window's feature is the mean of those of its halves.

    Parameters
    ----------
    size
        Of the windows.
    config
        See its class.
    generator
        Draws the first weights.

    Raises
    ------
    RefusedInputError
        Windows too short for three poolings, or one lead where leads are the views.

    Examples
    --------
    >>> size = PretextSize(channels=2, samples=64, rate=64.0)
    >>> clocs = Clocs(size, config=ClocsConfig(embedding=8))
    >>> number = torch.tensor([0, 0, 1])
    >>> sorted(clocs(DrawnWindows(torch.randn(3, 64, 2), number, number, 0 * number, seed=0)))
    ['loss']
    """

    size: PretextSize

    def __init__(
        self,
        size: PretextSize,
        *,
        config: ClocsConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.config = config = config or ClocsConfig()
        stride, padding, steps = _layout(size.samples // 2, config)
        if config.views != "cmsc" and size.channels < 2:
            msg = f"{config.views} compares leads, and there is 1; use cmsc, or windows of more."
            raise RefusedInputError(msg)
        self.dim = config.embedding * (size.channels if config.joined == "beside" else 1)
        inputs = (1, *config.widths[:-1])
        with first_weights(generator):
            blocks = [
                nn.Sequential(
                    nn.Conv1d(i, o, _KERNEL, stride=stride, padding=padding),
                    nn.BatchNorm1d(o),
                    nn.ReLU(),
                    nn.MaxPool1d(2),
                    nn.Dropout(config.dropout),
                )
                for i, o in zip(inputs, config.widths, strict=True)
            ]
            last = nn.Linear(config.widths[-1] * steps, config.embedding)
            self.encoder = nn.Sequential(*blocks, nn.Flatten(), last)
        self._pairs = _pairs(config.views, size.channels)

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the loss."""
        require_pairs(batch.signals)
        views = widened(self._halves_of_leads(batch.signals)).flatten(0, 1)
        patient = batch.patient.to(batch.signals.device)
        first, second = (views[list(side)] for side in zip(*self._pairs, strict=True))
        same = positives_from_ids(patient, patient)
        return {"loss": patient_loss(first, second, same, tau=self.config.tau)}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the features that ``config.joined`` names."""
        by_lead = self._halves_of_leads(signals).mean(0)
        return (
            by_lead.mean(0) if self.config.joined == "mean" else by_lead.transpose(0, 1).flatten(1)
        )

    def _halves_of_leads(self, signals: Tensor) -> Float[Tensor, "halves leads batch embedding"]:
        require_windows(signals, channels=self.size.channels, samples=self.size.samples)
        half = self.size.samples // 2
        halves = torch.stack([signals[:, :half], signals[:, -half:]])
        leads = halves.permute(0, 3, 1, 2)
        return self.encoder(leads.reshape(-1, 1, half)).view(*leads.shape[:3], -1)


def patient_loss(
    first: Float[Tensor, "pairs batch dim"],
    second: Float[Tensor, "pairs batch dim"],
    same: Bool[Tensor, "batch batch"],
    *,
    tau: float | int,
) -> Float[Tensor, ""]:
    r"""Pull views of one window, and of windows of one patient, together.

    With :math:`s_{ij}` the cosine of first view i and second view j over ``tau``, the mean of four
    terms: :math:`\log\sum_k e^{s_{ik}} - s_{ij}` over i = j and over the pairs i < j of one
    patient, and :math:`\log\sum_k e^{s_{kj}} - s_{ij}` over i = j and over i > j. Without a pair
    it is the mean of the two terms of the diagonal.

    Parameters
    ----------
    first, second
        Views; the mean runs over ``pairs`` of them.
    same
        True for two windows of one patient.
    tau
        Temperature > 0.

    Examples
    --------
    >>> z, same = torch.eye(2)[None], torch.eye(2, dtype=torch.bool)
    >>> patient_loss(z, z, same, tau=1)
    tensor(0.3133)
    """
    upper = same.triu(1)
    itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
    (own, of_patient), (own_back, of_patient_back) = (
        [info_nce(q, keys, mask, tau=tau, reduction="pair") for mask in (itself, upper)]
        for q, keys in ((first, second), (second, first))
    )
    terms = 2 + 2 * upper.any().to(own.dtype)
    return (own + own_back + of_patient + of_patient_back) / terms


def _pairs(views: Views, leads: int) -> list[tuple[int, int]]:
    """Return which views are compared; half h of lead l is number ``h * leads + l``."""
    if views == "cmsc":
        return [(lead, leads + lead) for lead in range(leads)]
    if views == "cmlc":
        return [(h + a, h + b) for h in (0, leads) for a, b in combinations(range(leads), 2)]
    return list(combinations(range(2 * leads), 2))


def _layout(half: int, config: ClocsConfig) -> tuple[int, int, int]:
    """Return stride, padding, and the steps that are left of a half."""
    wanted = {"published": [_PUBLISHED], "short": [_SHORT]}.get(config.layout, [_PUBLISHED, _SHORT])
    for stride, padding in wanted:
        steps = half
        for _ in config.widths:
            steps = max(0, (steps + 2 * padding - _KERNEL) // stride + 1) // 2
        if steps > 0:
            return stride, padding, steps
    msg = (
        f"halves of {half} samples are too short for the layout {config.layout!r}; allowed: 388 or "
        "more as published, 8 or more in the layout 'short'."
    )
    raise RefusedInputError(msg)
