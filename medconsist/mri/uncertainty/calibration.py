"""The frozen record of a calibration: a factor, what it promises, and for which method alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from pydantic import ConfigDict, Field, JsonValue, model_validator
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist._digests import canonical_json, plain_json, sha256_of_bytes
from medconsist._records import Record, make_record, read_record
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.metrics.conformal_bound import conformal_bound, risk_bound
from medconsist.mri.uncertainty.scan_conformal import scan_score

__all__ = ["VALIDITY", "Calibration", "Promise", "Wanted", "calibrate", "read_calibration"]

Promise = Literal["scans", "pixels"]
VALIDITY = "valid under exchangeability only"
_MOST_BYTES = 2**26


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a calibration is to promise.

    Parameters
    ----------
    promise
        ``"scans"``: with probability ``1 - alpha`` at least ``1 - share`` of a scan's pixels are
        covered. ``"pixels"``: the expected share of a scan's uncovered pixels is at most alpha.
    alpha
        In (0, 1). ``"scans"`` needs at least ``ceil(1 / alpha) - 1`` scans.
    share
        Of pixels, in [0, 1); for ``"scans"`` alone.

    Raises
    ------
    RefusedInputError
        A number that is not allowed.

    Examples
    --------
    >>> Wanted().promise
    'scans'
    """

    promise: Promise = "scans"
    alpha: float = 0.1
    share: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 <= self.share < 1):
            msg = f"got alpha {self.alpha} and share {self.share}; allowed: (0, 1) and [0, 1)."
            raise RefusedInputError(msg)

    def factor(self, ratios: Sequence[Float[Tensor, " _"]]) -> float:
        """Return the factor from the `error_ratios` of each calibration scan; perhaps infinite."""
        if self.promise == "pixels":
            return risk_bound(ratios, alpha=self.alpha)
        scores = [scan_score(one, share=self.share) for one in ratios]
        return conformal_bound(Tensor(scores).double(), alpha=self.alpha)


class Calibration(Record):
    """A factor for one method with one heuristic; it is refused for every other.

    Parameters
    ----------
    id
        sha256 of everything else.
    promise, alpha, share
        See `Wanted`.
    factor
        At least 0; half-widths are ``factor * u``.
    n
        Calibration scans.
    scans
        What they were: one opaque text each.
    settings
        What decides image and heuristic: method, preparation, kind of uncertainty.
    validity
        Under what the promise holds, and of what kind the scans were.

    Examples
    --------
    >>> import torch
    >>> ratios = [torch.rand(20, dtype=torch.float64) for _ in range(9)]
    >>> calibrate(ratios, Wanted(), scans=list("abcdefghi"), settings={"name": "cs"}).n
    9
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    id: str = Field(pattern="^[0-9a-f]{64}$")
    promise: Promise
    alpha: float = Field(gt=0, lt=1)
    share: float = Field(ge=0, lt=1)
    factor: float = Field(ge=0)
    n: int = Field(ge=1)
    scans: tuple[str, ...]
    settings: dict[str, JsonValue]
    validity: str = VALIDITY

    @model_validator(mode="after")
    def _is_whole(self) -> "Calibration":
        if len(self.scans) != self.n or self.id != self._digest():
            msg = (
                "the record was changed after it was made (its id is the hash of the rest); make "
                "it again with `medconsist mri calibrate`"
            )
            raise ValueError(msg)
        return self

    def _digest(self) -> str:
        values = self.model_dump(mode="json", by_alias=True)
        return sha256_of_bytes(canonical_json({k: v for k, v in values.items() if k != "id"}))

    @property
    def words(self) -> str:
        """What the half-width means, as a sentence."""
        if self.promise == "pixels":
            meant = (
                "the expected share of the object's pixels whose magnitude is off by more is at "
                f"most {_percent(self.alpha)}"
            )
        else:
            meant = (
                f"with probability {_percent(1 - self.alpha)} over calibration and new scan, at "
                f"least {_percent(1 - self.share)} of the object's pixels are off by no more"
            )
        return f"half-width of an interval by {self.n} calibration scans: {meant}; {self.validity}"

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that this was not calibrated for.

        Raises
        ------
        RefusedInputError
            Names the first setting that differs.
        """
        for name in sorted({*self.settings, *settings}):
            ours, theirs = self.settings.get(name), settings.get(name)
            if canonical_json(ours) != canonical_json(theirs):
                msg = (
                    f"calibration {self.id[:12]} is for {name} {ours}, got {theirs}. A factor "
                    "means nothing for another method: calibrate this one, or take its settings."
                )
                raise RefusedInputError(msg)

    def save(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        atomic_write_bytes(path, self.model_dump_json(by_alias=True, indent=2).encode() + b"\n")


def calibrate(
    ratios: Sequence[Float[Tensor, " _"]],
    wanted: Wanted,
    *,
    scans: Sequence[str],
    settings: Mapping[str, Any],
    validity: str = VALIDITY,
) -> Calibration:
    """Return the record of a calibration.

    Parameters
    ----------
    ratios
        `error_ratios` of each scan, exchangeable with the scans to come; none of them may have
        trained or tuned the method.
    wanted
        What it is to promise.
    scans
        Names of the scans, in the same order.
    settings
        What decides image and heuristic, as JSON values.
    validity
        Under what the promise holds, in words.

    Raises
    ------
    RefusedInputError
        Too few scans for alpha, or names that do not fit.
    """
    factor = wanted.factor(ratios)
    if not factor < float("inf") or len(scans) != len(ratios):
        msg = (
            f"{len(ratios)} scans with {len(scans)} names give the factor {factor} at alpha "
            f"{wanted.alpha}; allowed: one name each and at least 1 / alpha - 1 scans. Take more "
            "scans, or a larger alpha."
        )
        raise RefusedInputError(msg)
    values = {
        "schema": 1,
        "promise": wanted.promise,
        "alpha": wanted.alpha,
        "share": wanted.share if wanted.promise == "scans" else 0.0,
        "factor": factor,
        "n": len(ratios),
        "scans": tuple(scans),
        "settings": plain_json(settings, "settings"),
        "validity": validity,
    }
    return make_record(Calibration, id=sha256_of_bytes(canonical_json(values)), **values)


def _percent(share: float) -> str:
    """Return all digits: .975 is no 98 %."""
    return f"{100 * share:.10g}%"


def read_calibration(path: Path) -> Calibration:
    """Return the record that a JSON file holds.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        It is no calibration, or was changed after it was made.
    """
    if not path.is_file():
        msg = f"there is no calibration {path}; make one with `medconsist mri calibrate`."
        raise MissingInputError(msg)
    if path.stat().st_size > _MOST_BYTES:
        msg = f"{path} is larger than any calibration; pass a file of `medconsist mri calibrate`."
        raise RefusedInputError(msg)
    return read_record(Calibration, path.read_bytes(), source=path.name)
