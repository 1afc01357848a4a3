"""Every exception of medconsist; each is also the builtin that it refines.

::

    MedconsistError
    ├── RefusedInputError        (ValueError)         exit code 2: the input is at fault
    │   ├── ShapeError                                wrong number or length of axes
    │   ├── UnsafeFileError                           links, external storage, pickled content
    │   ├── CorruptInputError                         the bytes are not what the file claims
    │   │   └── TruncatedFileError                    the file ends before its own claim
    │   ├── UnsupportedInputError                     sound, but of a kind that nothing here reads
    │   ├── NoMppError                                microns per pixel are unknown
    │   ├── NoTissueError                             nothing on the slide to look at
    │   ├── CalibrationError                          no usable calibration region
    │   ├── NothingToWithholdError                    no sample is left for withheld evidence
    │   └── ConflictError                             another was first, or it changed since
    ├── AccessError              (PermissionError)    exit code 2: the role does not allow it
    ├── MissingInputError        (FileNotFoundError)  exit code 2
    ├── BudgetError              (MemoryError)        exit code 2: claims more than the budget
    ├── MissingExtraError        (ImportError)        exit code 2
    ├── ConvergenceError         (ArithmeticError)    exit code 1
    └── StorageError             (OSError)            exit code 1: disk full, read-only, torn
        ├── ResultExistsError    (FileExistsError)    a key is written once
        └── CorruptResultError                        bytes differ from their recorded sha256

A message says what was got, what is allowed and what to do. ``reason`` is the class that a batch
records for a case that it sets aside: corrupt, unsupported, no mpp, no tissue, out of memory or
failed.
"""

__all__ = [
    "AccessError",
    "BudgetError",
    "CalibrationError",
    "ConflictError",
    "ConvergenceError",
    "CorruptInputError",
    "CorruptResultError",
    "MedconsistError",
    "MissingExtraError",
    "MissingInputError",
    "NoMppError",
    "NoTissueError",
    "NothingToWithholdError",
    "RefusedInputError",
    "ResultExistsError",
    "ShapeError",
    "StorageError",
    "TruncatedFileError",
    "UnsafeFileError",
    "UnsupportedInputError",
]


class MedconsistError(Exception):
    """Root of the tree; ``exit_code`` is what the command line returns, ``reason`` see above."""

    exit_code = 1
    reason = "failed"


class RefusedInputError(MedconsistError, ValueError):
    """The input cannot be used as it is."""

    exit_code = 2


class ShapeError(RefusedInputError):
    """An array has the wrong number of axes, or an axis of the wrong length."""


class UnsafeFileError(RefusedInputError):
    """The file reaches outside itself (links, external storage) or holds pickled content."""


class CorruptInputError(RefusedInputError):
    """The bytes of the input are not what its own structure claims."""

    reason = "corrupt"


class TruncatedFileError(CorruptInputError):
    """The file ends before the data that its own header claims."""


class UnsupportedInputError(RefusedInputError):
    """A kind, format or compression that nothing here reads; the input itself may be sound."""

    reason = "unsupported"


class NoMppError(RefusedInputError):
    """The slide does not say its microns per pixel, or says something that cannot be true."""

    reason = "no mpp"


class NoTissueError(RefusedInputError):
    """No tissue was found on the slide; ``picture`` shows it as PNG bytes, if one was made."""

    reason = "no tissue"
    picture: bytes = b""


class CalibrationError(RefusedInputError):
    """No fully sampled calibration region, or one too small for the kernel."""


class NothingToWithholdError(RefusedInputError):
    """Every sample is needed by what must not see the withheld ones."""


class ConflictError(RefusedInputError):
    """Somebody else was first, or what was seen is no longer what is there."""


class AccessError(MedconsistError, PermissionError):
    """The person's role does not allow it."""

    exit_code = 2


class MissingInputError(MedconsistError, FileNotFoundError):
    """A named file does not exist."""

    exit_code = 2


class BudgetError(MedconsistError, MemoryError):
    """A header claims more bytes than the memory budget allows."""

    exit_code = 2
    reason = "out of memory"


class MissingExtraError(MedconsistError, ImportError):
    """An optional dependency is not installed."""

    exit_code = 2


class ConvergenceError(MedconsistError, ArithmeticError):
    """An iteration produced values that are not finite."""


class StorageError(MedconsistError, OSError):
    """Writing or reading a result failed; nothing half-written is left."""


class ResultExistsError(StorageError, FileExistsError):
    """A result key is written once and never changed."""


class CorruptResultError(StorageError):
    """Stored bytes differ from the sha256 that was recorded with them."""
