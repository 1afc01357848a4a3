"""One sentence for what a library says of a damaged file."""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from tokenize import TokenError

from medconsist.errors import CorruptInputError, MedconsistError

__all__ = ["library_errors"]


@contextmanager
def library_errors(
    name: str, library: str, *, also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn what a library says of a damaged file into one sentence, and keep the rest quiet.

    Its warnings and what it logs may hold values of the header that they are about: personal ones
    too.

    Parameters
    ----------
    name
        Of the file.
    library
        Of what reads it, for the message; also the name of its logger.
    also
        Errors of its own, beside those of Python.

    Raises
    ------
    CorruptInputError
        Names the file and the reason.
    """
    kinds: tuple[type[Exception], ...] = (
        *(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError),
        *(ArithmeticError, NotImplementedError, RuntimeError, struct.error, zlib.error),
        *(AssertionError, NameError, SyntaxError, TokenError),
        *also,
    )
    log = logging.getLogger(library)
    log.addFilter(_keep_quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MedconsistError:
        raise
    except kinds as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        msg = f"{name} is damaged or of another kind: {library} says {reason!r}. Copy it again."
        raise CorruptInputError(msg) from error
    finally:
        log.removeFilter(_keep_quiet)


def _keep_quiet(record: logging.LogRecord) -> bool:
    return record.levelno > logging.CRITICAL
