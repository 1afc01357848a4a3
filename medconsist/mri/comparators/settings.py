"""Settings that every comparator has, and the check of all of them."""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from medconsist.errors import RefusedInputError
from medconsist.mri.reconstruction_network import Architecture

__all__ = ["ComparatorConfig"]

_MOST = {"pools": 8, "depth": 100, "features": 4096}
_MOST_ELSE = 1000


@dataclass(frozen=True, kw_only=True)
class ComparatorConfig(Architecture):
    """What all comparators can be told; whole numbers and words are checked.

    Parameters
    ----------
    phase
        ``"kept"``: the network sees the phase of the data, as published. Its convolutions mix real
        and imaginary parts, so that data turned by a global phase, ``y exp(i phi)``, do not give
        the image turned by it. ``"removed"``: the phase of ``sum x |x|`` over the zero-filled
        image is taken off each slice before and put back after, and they do (ours).

    Raises
    ------
    RefusedInputError
        A number is out of range, or a word is not allowed.

    Examples
    --------
    >>> from medconsist.mri.comparators.unet import UNetConfig
    >>> UNetConfig(phase="removed").phase
    'removed'
    """

    phase: Literal["kept", "removed"] = "kept"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            if hint is int:
                self._check_count(name, getattr(self, name))
            elif get_origin(hint) is Literal:
                self._check_word(name, getattr(self, name), get_args(hint))

    def _check_count(self, name: str, got: Any) -> None:  # noqa: ANN401 - as a file says
        most = _MOST.get(name, _MOST_ELSE)
        if not isinstance(got, int) or isinstance(got, bool) or not 1 <= got <= most:
            msg = f"{name} of {self.kind} got {got!r}; allowed: whole numbers from 1 to {most}."
            raise RefusedInputError(msg)

    def _check_word(self, name: str, got: Any, allowed: tuple[Any, ...]) -> None:  # noqa: ANN401
        if got not in allowed:
            msg = f"{name} of {self.kind} got {got!r}; allowed: {', '.join(map(repr, allowed))}."
            raise RefusedInputError(msg)
