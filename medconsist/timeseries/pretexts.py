"""Every pretext task by its name, and back from the plain values of a weights file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import torch

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.networks.dilated import DilatedConfig
from medconsist.timeseries.baselines.clocs import Clocs, ClocsConfig
from medconsist.timeseries.baselines.cpc import Cpc, CpcConfig
from medconsist.timeseries.baselines.mixing_up import MixingUp, MixingUpConfig
from medconsist.timeseries.baselines.simclr import SimClr, SimClrConfig
from medconsist.timeseries.baselines.tf_c import TfC, TfCConfig
from medconsist.timeseries.baselines.ts2vec import Ts2Vec, Ts2VecConfig
from medconsist.timeseries.baselines.ts_tcc import TsTcc, TsTccConfig
from medconsist.timeseries.comet.config import FIXED, REFERENCE
from medconsist.timeseries.comet.model import Comet
from medconsist.timeseries.comet.ordering import OrderedComet, OrderingConfig
from medconsist.timeseries.pretext import Pretext, PretextSize

__all__ = ["PRETEXTS", "PretextEntry", "architecture_of", "make_pretext", "pretext_from"]

_PARTS = {"pretext", "size", "options"}


@dataclass(frozen=True, kw_only=True)
class PretextEntry:
    """How a pretext task is built.

    Parameters
    ----------
    kind
        Its class.
    config
        Its settings as the name means them.
    lr
        Learning rate of Adam or AdamW as published; SimCLR's SGD at 0.1 becomes AdamW at 1e-3.
    average
        Share of the old value in averaged weights as published, 1 for their plain mean; None where
        the last weights are taken: of methods with batch normalisation an average would not fit the
        statistics of the last step.
    dilated
        Whether it is given the sizes of a `DilatedEncoder`, which are then options too.

    Examples
    --------
    >>> PRETEXTS["clocs"].options()["views"]
    'cmsc'
    """

    kind: type[Pretext]
    config: Any
    lr: float = 1e-4
    average: float | None = None
    dilated: bool = False

    def options(self) -> dict[str, Any]:
        """Return the options that can be chosen, with their defaults."""
        encoder = asdict(DilatedConfig(channels=1)) if self.dilated else {}
        encoder.pop("channels", None)
        return encoder | asdict(self.config)

    def build(
        self, size: PretextSize, options: Mapping[str, Any], generator: torch.Generator
    ) -> Pretext:
        """Return it untrained; the options are known ones, torch's own generator is left alone."""
        with torch.random.fork_rng(devices=[]):
            return self._build(size, options, generator)

    def chosen(self, pretext: Pretext) -> dict[str, Any]:
        """Return all options of a pretext task of this kind."""
        encoder: dict[str, Any] = {}
        if isinstance(pretext, Comet | OrderedComet):
            encoder = asdict(pretext.encoder.config)
            del encoder["channels"]
        config: Any = pretext.config
        return encoder | asdict(config)

    def _build(
        self, size: PretextSize, options: Mapping[str, Any], generator: torch.Generator
    ) -> Pretext:
        own = {field.name for field in fields(self.config)}
        config = replace(self.config, **{k: v for k, v in options.items() if k in own})
        make: Callable[..., Pretext] = self.kind
        if not self.dilated:
            return make(size, config=config, generator=generator)
        sizes = {k: v for k, v in options.items() if k not in own}
        pretext = make(DilatedConfig(channels=size.channels, **sizes), config, generator=generator)
        pretext.size = size
        return pretext


#: All pretext tasks: COMET as released, mended, as an order, and its rivals.
PRETEXTS: Mapping[str, PretextEntry] = MappingProxyType(
    {
        "comet-reference": PretextEntry(kind=Comet, config=REFERENCE, average=1.0, dilated=True),
        "comet": PretextEntry(kind=Comet, config=FIXED, average=1.0, dilated=True),
        "comet-ordering": PretextEntry(
            kind=OrderedComet, config=OrderingConfig(), average=1.0, dilated=True
        ),
        "ts2vec": PretextEntry(kind=Ts2Vec, config=Ts2VecConfig(), lr=1e-3, average=1.0),
        "mixing-up": PretextEntry(kind=MixingUp, config=MixingUpConfig(), lr=1e-3),
        "ts-tcc": PretextEntry(kind=TsTcc, config=TsTccConfig(), lr=3e-4),
        "simclr": PretextEntry(kind=SimClr, config=SimClrConfig(), lr=1e-3),
        "tf-c": PretextEntry(kind=TfC, config=TfCConfig(), lr=3e-4),
        "clocs": PretextEntry(kind=Clocs, config=ClocsConfig(), lr=1e-4),
        "cpc": PretextEntry(kind=Cpc, config=CpcConfig(), lr=1e-3),
    }
)


def make_pretext(
    name: str,
    size: PretextSize,
    *,
    generator: torch.Generator,
    options: Mapping[str, Any] | None = None,
) -> Pretext:
    """Return an untrained pretext task by its name.

    Parameters
    ----------
    name
        One of `PRETEXTS`.
    size
        Of the windows.
    generator
        Source of the first weights.
    options
        The method's own, as in the docstring of its settings, and for COMET those of
        `DilatedConfig`; a list stands for a tuple.

    Raises
    ------
    RefusedInputError
        No such method or option, a value out of its range, or windows that it cannot take.

    Examples
    --------
    >>> size = PretextSize(channels=2, samples=128, rate=128.0)
    >>> make_pretext("ts2vec", size, generator=torch.Generator(), options={"dim": 16}).dim
    16
    """
    if name not in PRETEXTS:
        msg = f"There is no pretext task {name!r}. {nearest(name, PRETEXTS)}"
        raise RefusedInputError(msg)
    entry, allowed = PRETEXTS[name], PRETEXTS[name].options()
    chosen = {key: _tuples(value) for key, value in (options or {}).items()}
    unknown = sorted(set(chosen) - set(allowed))
    if unknown:
        msg = (
            f"The pretext task {name} has no option {unknown[0]!r}. {nearest(unknown[0], allowed)}"
        )
        raise RefusedInputError(msg)
    try:
        return entry.build(size, chosen, generator)
    except TypeError as error:
        msg = f"{name} got {size} and the options {chosen!r}, one of the wrong kind."
        raise RefusedInputError(msg) from error


def architecture_of(pretext: Pretext) -> dict[str, Any]:
    """Return what builds a pretext task again, as plain JSON; all options, whatever was chosen.

    Parameters
    ----------
    pretext
        Made by `make_pretext`, or one of its classes with a ``size``.

    Raises
    ------
    RefusedInputError
        A class that no name stands for, or no size.

    Examples
    --------
    >>> size = PretextSize(channels=2, samples=128, rate=128.0)
    >>> architecture_of(make_pretext("cpc", size, generator=torch.Generator()))["pretext"]
    'cpc'
    """
    names = [name for name, entry in PRETEXTS.items() if entry.kind is type(pretext)]
    if not names or pretext.size is None:
        what = "has no size" if names else "is none of PRETEXTS"
        msg = (
            f"{type(pretext).__name__} {what}; make it by make_pretext, so that a weights file can "
            "say what it is."
        )
        raise RefusedInputError(msg)
    as_named = [name for name in names if PRETEXTS[name].config == pretext.config]
    name = (as_named or names[-1:])[0]
    plain = {
        "pretext": name,
        "size": asdict(pretext.size),
        "options": PRETEXTS[name].chosen(pretext),
    }
    found: dict[str, Any] = json.loads(json.dumps(plain))
    return found


def pretext_from(
    architecture: Mapping[str, Any], *, generator: torch.Generator | None = None
) -> Pretext:
    """Return an untrained pretext task from what `architecture_of` said.

    Parameters
    ----------
    architecture
        Of the weights file.
    generator
        Source of the first weights, which are usually replaced at once.

    Raises
    ------
    RefusedInputError
        Something is missing, too much or of the wrong kind, or as `make_pretext`.

    Examples
    --------
    >>> size = PretextSize(channels=2, samples=128, rate=128.0)
    >>> plain = architecture_of(make_pretext("simclr", size, generator=torch.Generator()))
    >>> pretext_from(plain).size == size
    True
    """
    size, options = architecture.get("size"), architecture.get("options")
    sizes = {field.name for field in fields(PretextSize)}
    if (
        set(architecture) != _PARTS
        or not isinstance(architecture["pretext"], str)
        or not isinstance(size, Mapping)
        or not isinstance(options, Mapping)
        or set(size) != sizes
    ):
        msg = (
            f"the architecture has {sorted(architecture)} and sizes {size!r}; expected: pretext, "
            f"size ({', '.join(sorted(sizes))}) and options. Are these weights of a pretext task?"
        )
        raise RefusedInputError(msg)
    generator = generator or torch.Generator().manual_seed(0)
    return make_pretext(
        architecture["pretext"], PretextSize(**size), generator=generator, options=options
    )


def _tuples(value: Any) -> Any:  # noqa: ANN401  JSON has lists where settings have tuples
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
