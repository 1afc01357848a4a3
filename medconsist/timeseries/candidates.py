"""Candidates of an evaluation by their names, the trivial ones always among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.candidate import Candidate, Probed
from medconsist.timeseries.evaluation.fixed import RandomEncoder
from medconsist.timeseries.evaluation.majority import Majority
from medconsist.timeseries.evaluation.probes import KnnProbe, LogisticProbe, NaiveBayesProbe
from medconsist.timeseries.method import Probe, Supervised
from medconsist.timeseries.pretext import PretextSize
from medconsist.timeseries.pretexts import PRETEXTS, make_pretext
from medconsist.timeseries.pretrained import Pretrained, Pretraining, as_released
from medconsist.timeseries.starts import EegNetStart, RandomStart, Start
from medconsist.timeseries.supervised import Finetuned, Finetuning
from medconsist.timeseries.window_set import WindowSet

__all__ = ["CANDIDATES", "TRIVIAL", "Budgets", "candidates"]

TRIVIAL = ("majority", "band-power", "random-encoder")
SUPERVISED: dict[str, Start] = {"scratch": RandomStart(), "eegnet": EegNetStart()}
CANDIDATES = (*TRIVIAL, *SUPERVISED, *PRETEXTS)
PROBES: dict[str, type[Probe]] = {
    "logistic": LogisticProbe,
    "naive-bayes": NaiveBayesProbe,
    "knn": KnnProbe,
}


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What trainings may take.

    Parameters
    ----------
    pretraining
        Its method is replaced by that of each candidate; see also `as_released`.
    finetuning
        Of ``scratch`` and ``eegnet``.
    folder
        Keeps pre-trainings, so that a table goes on where it was killed; None keeps none.

    Examples
    --------
    >>> Budgets().folder is None
    True
    """

    pretraining: Pretraining = field(default_factory=Pretraining)
    finetuning: Finetuning = field(default_factory=Finetuning)
    folder: Path | None = None


def candidates(
    names: Sequence[str], windows: WindowSet, *, probe: str = "logistic", budgets: Budgets
) -> list[Candidate]:
    """Return the named candidates, after those of `TRIVIAL`.

    Parameters
    ----------
    names
        Of `CANDIDATES`.
    windows
        What they will be given.
    probe
        On all representations: logistic, naive-bayes or knn.
    budgets
        See its class.

    Raises
    ------
    RefusedInputError
        No such name, or one named twice; no such probe.
    """
    if probe not in PROBES:
        msg = f"there is no probe {probe!r}. {nearest(probe, PROBES)}"
        raise RefusedInputError(msg)
    wanted = [*TRIVIAL, *(name for name in names if name not in TRIVIAL)]
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    unknown = [name for name in wanted if name not in CANDIDATES]
    if unknown or twice:
        hint = nearest(unknown[0], CANDIDATES) if unknown else f"{twice[0]} is named twice."
        msg = f"candidates got {list(names)}. {hint}"
        raise RefusedInputError(msg)
    return [_one(name, windows, PROBES[probe](), budgets) for name in wanted]


def _one(name: str, windows: WindowSet, probe: Probe, budgets: Budgets) -> Candidate:
    supervised = _supervised(name, budgets)
    if supervised is not None:
        return supervised
    if name == "band-power":
        return Probed(BandPower(), probe)
    if name == "random-encoder":
        size = PretextSize.of(windows)
        make = RandomEncoder(lambda generator: make_pretext("comet", size, generator=generator))
        return Probed(make, probe)
    how = as_released(replace(budgets.pretraining, method=name))
    folder = None if budgets.folder is None else budgets.folder / name
    return Probed(Pretrained(how, folder=folder), probe)


def _supervised(name: str, budgets: Budgets) -> Supervised | None:
    if name == "majority":
        return Majority()
    if name in SUPERVISED:
        folder = None if budgets.folder is None else budgets.folder / name
        return Finetuned(SUPERVISED[name], budgets.finetuning, name=name, folder=folder)
    return None
