"""What one look of a leak audit found, with its sentence and its numbers.

A finding of weight ``"leak"`` makes the numbers of the test void until it is explained; one of
weight ``"warning"`` says what they cannot show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look found.

    Parameters
    ----------
    name
        Of the look.
    passed
        Whether nothing was found.
    sentence
        What was looked at and found, with its numbers.
    numbers
        By name.
    weight
        What it means if it did not pass.

    Examples
    --------
    >>> Finding(name="patients", passed=True, sentence="No patient is in two parts.").is_leak
    False
    """

    name: str
    passed: bool
    sentence: str
    numbers: Mapping[str, float | int] = field(default_factory=dict)
    weight: Literal["leak", "warning"] = "leak"

    @property
    def is_leak(self) -> bool:
        """Whether the command ends with exit code 4."""
        return not self.passed and self.weight == "leak"
