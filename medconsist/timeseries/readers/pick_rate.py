"""Which channels of a file with several rates are read."""

from collections.abc import Sequence

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.options import ReadOptions

__all__ = ["pick_rate"]


def pick_rate(
    rates: dict[int, float], names: Sequence[str], *, options: ReadOptions, name: str
) -> tuple[list[int], tuple[str, ...]]:
    """Return the channels of one rate, and a note that names the others.

    Raises
    ------
    RefusedInputError
        There are several rates and none was chosen, or no channel has the one chosen.
    """
    if len(set(rates.values())) == 1:
        return list(rates), ()
    picked = [n for n, rate in rates.items() if rate == options.rate]
    if not picked:
        found = ", ".join(f"{rate:g} Hz ({names[n]})" for n, rate in list(rates.items())[:20])
        chosen = "none was chosen" if options.rate is None else f"{options.rate:g} Hz was chosen"
        msg = (
            f"{name} has channels of several rates: {found}; {chosen}. Choose the channels of one "
            "rate with ReadOptions(rate=...)."
        )
        raise RefusedInputError(msg)
    others = [f"{names[n]} ({rate:g} Hz)" for n, rate in rates.items() if n not in picked]
    return picked, (f"Channels of other rates are left out: {', '.join(others)}.",)
