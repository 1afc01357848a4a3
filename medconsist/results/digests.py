"""The key of a result: the hash of all that decides its bytes."""

from collections.abc import Mapping
from typing import Any

from medconsist._digests import canonical_json, sha256_of_bytes

__all__ = ["result_key"]


def result_key(
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    model_sha256: str | None,
    result_version: int,
) -> str:
    """Return the key of a result: sha256 of the canonical JSON of all that decides its bytes.

    Parameters
    ----------
    inputs
        Role of each input file (``"kspace"``, ``"maps"``) to its sha256. Roles, not file names:
        a renamed file keeps its key.
    config
        The resolved configuration; it names the task or method, so that two tasks on the same
        input differ.
    model_sha256
        sha256 of the weights, None for a method without any.
    result_version
        Raised by hand when the output of the task changes.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    RefusedInputError
        If a value is not JSON (NaN, a key that is no string, an object).

    Examples
    --------
    >>> key = result_key(inputs={}, config={"method": "cs"}, model_sha256=None, result_version=1)
    >>> len(key)
    64
    """
    parts = {
        "config": config,
        "inputs": inputs,
        "model_sha256": model_sha256,
        "result_version": result_version,
    }
    return sha256_of_bytes(canonical_json(parts))
