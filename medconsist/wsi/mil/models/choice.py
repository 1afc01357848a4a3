"""Every model of bags by its name, and back from the plain values of a weights file."""

import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from torch import Generator

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.models.base import MilModel, MilSize

__all__ = ["MODELS", "ModelEntry", "architecture_of", "make_model", "model_from"]

_ROOM = "medconsist.wsi.mil.models"


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """Where a model is, and what its name says of its options.

    Parameters
    ----------
    module, name
        File in this folder, and class in it; imported when it is asked for.
    fixed
        Options that the name decides.

    Examples
    --------
    >>> MODELS["abmil-gated"].name, dict(MODELS["abmil-gated"].fixed)
    ('Abmil', {'gated': True})
    """

    module: str
    name: str
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> type[MilModel]:
        """Return the class."""
        found: type[MilModel] = getattr(
            importlib.import_module(f"{_ROOM}.{self.module}"), self.name
        )
        return found

    def options(self) -> tuple[str, ...]:
        """Return the names of the options that can be chosen."""
        names = inspect.signature(self.load()).parameters
        return tuple(name for name in names if name not in {"size", "generator", *self.fixed})


#: All models, from the plainest on.
MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "mean": ModelEntry(module="mean", name="MeanPool", fixed={"head": "linear"}),
        "mean-mlp": ModelEntry(module="mean", name="MeanPool", fixed={"head": "mlp"}),
        "max": ModelEntry(module="maximum", name="MaxPool"),
        "abmil": ModelEntry(module="abmil", name="Abmil", fixed={"gated": False}),
        "abmil-gated": ModelEntry(module="abmil", name="Abmil", fixed={"gated": True}),
        "clam-sb": ModelEntry(module="clam", name="ClamSb"),
        "dsmil": ModelEntry(module="dsmil", name="Dsmil"),
        "transmil": ModelEntry(module="transmil", name="TransMil"),
        "dtfd": ModelEntry(module="dtfd", name="Dtfd"),
        "acmil": ModelEntry(module="acmil", name="Acmil"),
    }
)


def make_model(
    name: str,
    size: MilSize,
    *,
    generator: Generator,
    **options: Any,  # noqa: ANN401  checked against the model's own
) -> MilModel:
    """Return an untrained model by its name.

    Parameters
    ----------
    name
        One of `MODELS`.
    size
        See `MilSize`.
    generator
        Source of the first weights.
    options
        The model's own, as in the docstring of its class.

    Raises
    ------
    RefusedInputError
        No such model, or no such option of it.

    Examples
    --------
    >>> type(make_model("max", MilSize(dim=4), generator=Generator())).__name__
    'MaxPool'
    """
    entry = _entry(name)
    _require_known(name, entry, options)
    build: Callable[..., MilModel] = entry.load()
    return build(size, **entry.fixed, **options, generator=generator)


def architecture_of(
    name: str, size: MilSize, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what builds a model again, as plain JSON.

    Parameters
    ----------
    name, size, options
        As given to :func:`make_model`.

    Raises
    ------
    RefusedInputError
        No such model or option, or a value that JSON does not have.

    Examples
    --------
    >>> architecture_of("abmil", MilSize(dim=4), {"bias": False})["options"]
    {'bias': False}
    """
    chosen = dict(options or {})
    _require_known(name, _entry(name), chosen)
    plain = {"model": name, "size": asdict(size), "options": chosen}
    try:
        same = json.loads(json.dumps(plain)) == plain
    except TypeError:
        same = False
    if not same:
        msg = (
            f"options of {name} got {chosen!r}; allowed in a weights file: texts, numbers, "
            "true, false and null."
        )
        raise RefusedInputError(msg)
    return plain


def model_from(architecture: Mapping[str, Any], generator: Generator) -> MilModel:
    """Return an untrained model from what :func:`architecture_of` said.

    Parameters
    ----------
    architecture
        Of the weights file.
    generator
        Source of the first weights; they are usually replaced at once.

    Raises
    ------
    RefusedInputError
        Something is missing, too much or of the wrong kind, or as :func:`make_model`.

    Examples
    --------
    >>> plain = architecture_of("mean", MilSize(dim=4))
    >>> model_from(plain, Generator()).size.dim
    4
    """
    sizes = {each.name for each in fields(MilSize)}
    name, size, options = (architecture.get(part) for part in ("model", "size", "options"))
    if (
        set(architecture) != {"model", "size", "options"}
        or not isinstance(name, str)
        or not isinstance(size, Mapping)
        or not isinstance(options, Mapping)
        or set(size) != sizes
    ):
        msg = (
            f"the architecture has {sorted(architecture)} and sizes {size!r}; expected: model, "
            f"size ({', '.join(sorted(sizes))}) and options. Are these weights of a model of bags?"
        )
        raise RefusedInputError(msg)
    try:
        return make_model(name, MilSize(**size), generator=generator, **options)
    except TypeError as error:
        msg = f"{name} got the sizes {size!r} and options {options!r}, one of the wrong kind."
        raise RefusedInputError(msg) from error


def _entry(name: str) -> ModelEntry:
    if name not in MODELS:
        msg = f"There is no model {name!r}. {nearest(name, MODELS)}"
        raise RefusedInputError(msg)
    return MODELS[name]


def _require_known(name: str, entry: ModelEntry, options: Mapping[str, Any]) -> None:
    allowed = entry.options()
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        msg = f"The model {name} has no option {unknown[0]!r}. {nearest(unknown[0], allowed)}"
        raise RefusedInputError(msg)
