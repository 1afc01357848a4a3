"""When an operator's own array fits the input that it acts on."""

from medconsist.errors import ShapeError

__all__ = ["check_expands"]


def check_expands(own: tuple[int, ...], given: tuple[int, ...], *, name: str) -> None:
    """Refuse an input that broadcasting with the operator's array would make larger.

    The adjoint of such an expansion is a sum, and the adjoint cannot know of it.
    """
    fits = all(n in (1, m) for n, m in zip(reversed(own), reversed(given), strict=False))
    if len(own) > len(given) or not fits:
        msg = (
            f"{name} needs an input to which {tuple(own)} can be expanded; got {tuple(given)}. "
            "Give the input every axis of the operator, by unsqueeze and expand."
        )
        raise ShapeError(msg)
