"""Environment variables for the length of a block."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["variables_set"]


@contextmanager
def variables_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for this process and those that it starts, then give back the old ones.

    Examples
    --------
    >>> with variables_set({"MEDCONSIST_EXAMPLE": "1"}):
    ...     os.environ["MEDCONSIST_EXAMPLE"]
    '1'
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
