"""Weights of ATOMMIC's and DIRECT's CIRIM, in our format.

Everything but the number of time-steps is read off names and shapes; whatever is left over, is
missing or has another shape is refused.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.training.foreign_weights import read_foreign
from medconsist.training.weights import save_weights

__all__ = ["Source", "from_atommic", "from_direct", "import_weights"]

Source = Literal["atommic", "direct"]
_Unit = Literal["indrnn", "gru", "mgu"]

_BLOCK_PARTS = {
    "conv1": "layers.0.convs.conv_layer",
    "unit1.input": "layers.0.{unit}.ih",
    "unit1.recurrent": "layers.0.{unit}.hh",
    "conv2": "layers.1.convs.conv_layer",
    "unit2.input": "layers.1.{unit}.ih",
    "unit2.recurrent": "layers.1.{unit}.hh",
    "out": "final_layer.0.conv_layer",
}
_UNIT_OF_GATES: dict[int, _Unit] = {1: "indrnn", 2: "mgu", 3: "gru"}


def from_atommic(state_dict: Mapping[str, Tensor], *, steps: int) -> Cirim:
    """Return the network of an ATOMMIC state dict of CIRIM, RIM or IRIM.

    Cascades, features, unit and explicit consistency are read off the state dict, whose names may
    have any prefix in front of ``reconstruction_module.``. The output is that of the released
    code for k-space that is scaled as ours is and maps of unit norm, with two exceptions.
    ATOMMIC rounds the time-steps up to a multiple of 8 in silence: give the rounded number.
    With ``no_dc: false`` (a ``dc_weight`` in each cascade) it fails for more than one cascade, so
    that its formula ``y - w M (y_k - y) - F S x`` has no working form; here such weights mean
    ``consistency="explicit"`` of `CirimConfig`.

    Parameters
    ----------
    state_dict
        As released: wdika/atommic, ``collections/reconstruction/nn/cirim.py``; float32.
    steps
        Time-steps of each cascade; nothing in the weights tells.

    Raises
    ------
    RefusedInputError
        Names or shapes that do not belong to this network, another precision, or values that are
        not finite.

    Examples
    --------
    >>> ones = torch.ones(1)
    >>> from_atommic({"reconstruction_module.0.dc_weight": ones}, steps=8)
    Traceback (most recent call last):
        ...
    medconsist.errors.RefusedInputError: the state dict is not a CIRIM of ATOMMIC: missing: ...
    """
    names = _Names("atommic", state_dict, r"^(?P<prefix>(?:.*\.)?)reconstruction_module\.(\d+)\.")
    explicit = f"{names.block(0)}dc_weight" in state_dict
    config = CirimConfig(
        cascades=names.cascades,
        steps=steps,
        features=names.features,
        unit=names.unit,
        consistency="explicit" if explicit else "implicit",
    )
    return names.network(config)


def from_direct(state_dict: Mapping[str, Tensor], *, steps: int) -> Cirim:
    """Return the network of a DIRECT state dict of CIRIM.

    DIRECT's CIRIM (``direct/nn/cirim/cirim.py``, default ``no_parameter_sharing=True``) is not
    that of the paper, and what it computes is kept:

    - input channels are gradient, then image: the first convolution is reordered;
    - the last convolution is rectified, and steps do not move the image within a cascade:
      ``update="rectified"``;
    - hidden states start from zero in every cascade, and no gradient crosses one;
    - one parameter more than ATOMMIC's, ``dc_weight`` of the whole network, which its forward pass
      never uses: left out.

    With ``no_parameter_sharing=False`` each cascade has an (equally unused) ``dc_weight`` and hands
    on ``y - M (y_k - y) - F S x`` in k-space, which no `CirimConfig` says: refused.

    Parameters
    ----------
    state_dict
        As released; any prefix in front of ``block_list.``; float32.
    steps
        Time-steps of each cascade; nothing in the weights tells.

    Raises
    ------
    RefusedInputError
        Names or shapes that do not belong to this network, another precision, values that are not
        finite, or weights of ``no_parameter_sharing=False``.
    """
    names = _Names("direct", state_dict, r"^(?P<prefix>(?:.*\.)?)block_list\.(\d+)\.")
    if f"{names.block(0)}dc_weight" in state_dict:
        msg = (
            "these weights of DIRECT were trained with no_parameter_sharing=False, whose cascades "
            "exchange y - M (y_k - y) - F S x; allowed: no_parameter_sharing=True, the default."
        )
        raise RefusedInputError(msg)
    config = CirimConfig(
        cascades=names.cascades,
        steps=steps,
        features=names.features,
        unit=names.unit,
        hidden="reset",
        detach_cascades=True,
        update="rectified",
    )
    return names.network(config)


def import_weights(path: Path, *, source: Source, steps: int, out: Path) -> str:
    """Read weights of another program and write them in our format.

    Parameters
    ----------
    path
        ``.safetensors``, or a torch file with tensors alone, perhaps under ``state_dict``
        (Lightning) or ``model`` (DIRECT). An ``.atommic`` archive is a tar file: unpack it and
        take ``model_weights.ckpt``.
    source
        Which program wrote it.
    steps
        Time-steps of each cascade.
    out
        ``*.safetensors``; replaced if it exists. Says that training data are unknown.

    Returns
    -------
    str
        sha256 of the written file.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds more than tensors and plain values.
    TruncatedFileError
        It ends before its own claim.
    RefusedInputError
        See `from_atommic` and `from_direct`.
    """
    if source not in get_args(Source):
        msg = f"source got {source!r}; allowed: {', '.join(map(repr, get_args(Source)))}."
        raise RefusedInputError(msg)
    if path.suffix == ".atommic" and path.is_file():
        msg = f"{path} is a tar file: unpack it and import model_weights.ckpt."
        raise RefusedInputError(msg)
    held = read_foreign(path)
    network = _IMPORTERS[source](held.state, steps=steps)
    about = {"source": f"{_PROGRAMS[source]}, {path.name}", "trained_on": "unknown"}
    if held.left_out:
        about["left_out"] = ", ".join(held.left_out)
    architecture = {"network": "cirim", **network.config.as_dict()}
    return save_weights(out, network.state_dict(), architecture=architecture, about=about)


_IMPORTERS: dict[str, Callable[..., Cirim]] = {"atommic": from_atommic, "direct": from_direct}
_PROGRAMS = {"atommic": "ATOMMIC", "direct": "DIRECT"}


class _Names:
    """The names of a foreign state dict, and what they say of the architecture."""

    def __init__(self, source: Source, state: Mapping[str, Tensor], pattern: str) -> None:
        self._source, self._state = source, state
        found = [match for name in state if (match := re.match(pattern, name))]
        if not found:
            held = ", ".join(sorted(state)[:3]) or "nothing"
            self._refuse(f"no name has {_MARKS[source]} in it (it holds {held})")
        prefixes = sorted({match["prefix"] for match in found})
        if len(prefixes) > 1:
            self._refuse(f"several networks are in it: {', '.join(map(repr, prefixes))}")
        self._prefix = prefixes[0]
        numbers = {int(match[2]) for match in found}
        self.cascades = len(numbers)
        if numbers != set(range(self.cascades)):
            self._refuse(f"its cascades are {sorted(numbers)}, with gaps")

    def block(self, cascade: int) -> str:
        """Return what the names of a cascade begin with."""
        return f"{self._prefix}{_MARKS[self._source]}{cascade}."

    @property
    def features(self) -> int:
        return int(self._first("conv1", "weight").shape[0])

    @property
    def unit(self) -> _Unit:
        """The input kernel has F rows for each gate."""
        gates = self._first("unit1.input", "weight").shape[0] // max(self.features, 1)
        return _UNIT_OF_GATES.get(gates, "indrnn")

    def network(self, config: CirimConfig) -> Cirim:
        """Return the network with the tensors of the state dict."""
        with torch.device("meta"):
            network = Cirim(config)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        foreign = {name: self._foreign(name) for name in shapes}
        self._check({foreign[name]: shape for name, shape in shapes.items()})
        state = {name: self._converted(name, self._state[foreign[name]]) for name in shapes}
        if bad := [foreign[name] for name, tensor in state.items() if not tensor.isfinite().all()]:
            self._refuse(f"{bad[0]} holds values that are not finite")
        network.load_state_dict(state, assign=True)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub

    def _first(self, part: str, kind: str) -> Tensor:
        name = self._foreign(f"cascades.0.{part}.{kind}")
        if name not in self._state or self._state[name].ndim != 4:
            self._refuse(f"missing: {name} with four axes")
        return self._state[name]

    def _foreign(self, name: str) -> str:
        _, cascade, rest = name.split(".", 2)
        for ours, theirs in _BLOCK_PARTS.items():
            if rest == ours or rest.startswith(f"{ours}."):
                rest = theirs.format(unit=_UNITS[self._source]) + rest.removeprefix(ours)
                break
        return self.block(int(cascade)) + rest

    def _converted(self, name: str, tensor: Tensor) -> Tensor:
        if self._source == "direct" and name.endswith("conv1.weight"):
            tensor = tensor.roll(2, dims=1)  # gradient, image -> image, gradient
        return tensor.detach().clone()

    def _check(self, wanted: dict[str, torch.Size]) -> None:
        unused = {f"{self._prefix}dc_weight"} if self._source == "direct" else set()
        faults = {
            "missing": sorted(wanted.keys() - self._state.keys()),
            "unknown": sorted(self._state.keys() - wanted.keys() - unused),
            "of another shape or type": [
                f"{name} {tuple(self._state[name].shape)} {self._state[name].dtype} instead of "
                f"{tuple(shape)} torch.float32"
                for name, shape in wanted.items()
                if name in self._state
                and (self._state[name].shape != shape or self._state[name].dtype != torch.float32)
            ],
        }
        said = "; ".join(
            f"{what}: {', '.join(names[:3])}" for what, names in faults.items() if names
        )
        if said:
            self._refuse(said)

    def _refuse(self, why: str) -> None:
        msg = (
            f"the state dict is not a CIRIM of {_PROGRAMS[self._source]}: {why}. Allowed: two "
            "layers of convolution (5 x 5, 3 x 3) and 1 x 1 recurrent unit, real kernels of 2-D."
        )
        raise RefusedInputError(msg)


_MARKS = {"atommic": "reconstruction_module.", "direct": "block_list."}
_UNITS = {"atommic": "rnn", "direct": "recurrent"}
