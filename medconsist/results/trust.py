"""The trust record: what measurement can say about one case, and how unusual that is here.

One record for all domains. A score is judged against the history of its own site by a conformal
p-value; without history it says so. Every p-value is valid under exchangeability only.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from medconsist._digests import canonical_json, plain_json, sha256_of_bytes
from medconsist._records import Record
from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction, conformal_p
from medconsist.results.history import HistoryLine

__all__ = [
    "VALIDITY",
    "Score",
    "TrustRecord",
    "fewest_cases",
    "judge_against_history",
]

VALIDITY = (
    "p-values are valid under exchangeability only: if this case was drawn like the earlier cases "
    "of this site."
)


class Score(Record):
    """One measured score of one case, with what was expected and how unusual it is at this site.

    Parameters
    ----------
    name, value, unit
        E.g. ``"residual_chi2"``, 0.79, ``"sigma^2"``; unit ``"1"`` for a pure number.
    n
        How many measured samples (or instances, segments) the value rests on.
    expectation
        What the model predicts for the value; None where there is none.
    calibration_id
        Digest of the earlier values it was judged against; None without.
    p
        Conformal p-value, at least ``1 / (n_history + 1)``; None exactly when ``no_history``.
    state
        ``no_history`` (too few earlier cases to judge), ``within`` or ``outside``.
    meaning
        One sentence for the clinician.
    direction
        Which values are unusual in the bad sense.
    n_history
        How many earlier cases of this site were compared.

    Examples
    --------
    >>> score = Score(name="residual", value=0.8, unit="1", n=9, meaning="Fit to the samples.")
    >>> score.state
    'no_history'
    """

    name: str = Field(min_length=1)
    value: float
    unit: str
    n: int = Field(ge=0)
    expectation: float | None = None
    calibration_id: str | None = None
    p: float | None = Field(default=None, gt=0, le=1)
    state: Literal["no_history", "within", "outside"] = "no_history"
    meaning: str = Field(min_length=1)
    direction: Direction = "high_is_bad"
    n_history: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _p_and_state_agree(self) -> "Score":
        if (self.state == "no_history") != (self.p is None):
            msg = f"score {self.name!r}: p is null exactly when the state is 'no_history'"
            raise ValueError(msg)
        if self.p is not None and self.p * (self.n_history + 1) < 1 - 1e-9:  # rounding of 1/(n+1)
            msg = f"score {self.name!r}: p {self.p} is smaller than 1/(n_history + 1)"
            raise ValueError(msg)
        return self

    @property
    def judgement(self) -> str:
        """The state as a sentence for the screen."""
        if self.p is None:
            return f"No history yet: {self.n_history} earlier cases, too few to judge."
        place = "Outside" if self.state == "outside" else "Within"
        return f"{place} the history of this site (p = {self.p:.3g}, {self.n_history} cases)."


class TrustRecord(Record):
    """The scores and maps of one case, with the settings that they were computed with.

    Parameters
    ----------
    scores
        Judged or not; names are unique.
    maps
        Roles of the arrays of the same key that show where, e.g. ``"not_determined"``.
    settings
        What is fixed so that values compare, e.g. ``{"cg_iterations": 30, "probes": 2}``.
    validity
        The condition under which the p-values hold; shown wherever they are.

    Examples
    --------
    >>> TrustRecord(settings={"probes": 2}).scores
    ()
    """

    schema_version: Literal[1] = 1
    scores: tuple[Score, ...] = ()
    maps: tuple[str, ...] = ()
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    validity: str = VALIDITY

    @field_validator("settings", mode="before")
    @classmethod
    def _settings_are_json(cls, value: object) -> object:
        return plain_json(value, "settings")

    @model_validator(mode="after")
    def _names_are_unique(self) -> "TrustRecord":
        names = [score.name for score in self.scores]
        if len(set(names)) != len(names):
            msg = f"score names must be unique, got {names}"
            raise ValueError(msg)
        return self


def fewest_cases(alpha: float, direction: Direction) -> int:
    """Return the smallest history with which a p-value can be as small as ``alpha``.

    Examples
    --------
    >>> fewest_cases(0.05, "high_is_bad"), fewest_cases(0.05, "two_sided")
    (19, 39)
    """
    sides = 2 if direction == "two_sided" else 1
    # 1 / 0.05 is 20 but 2 / 0.1 may be 20.000000000000004: do not ask for one case more.
    return math.ceil(sides / alpha - 1e-9) - 1


def judge_against_history(
    scores: Sequence[Score],
    history: Sequence[HistoryLine],
    *,
    case: str,
    group: str,
    alpha: float = 0.05,
    min_n: int | None = None,
) -> tuple[Score, ...]:
    """Return the scores with p-value and state against earlier cases of the same group.

    Each earlier case counts once, with its latest line. The case itself is not in its own
    calibration set. With fewer than ``min_n`` earlier cases the state is ``no_history`` and p is
    None; ``outside`` means ``p <= alpha``.

    Parameters
    ----------
    scores
        Scores of this case.
    history
        Lines of ``History.read``.
    case
        Id of this case, left out of the history.
    group
        Only lines of this group are compared: same task, same configuration, same site.
    alpha
        Rate of false flags per score, in (0, 1), if the cases are exchangeable.
    min_n
        Fewest earlier cases; None takes :func:`fewest_cases` of each score's direction. A smaller
        number than that can never reach ``outside`` and is refused.

    Raises
    ------
    RefusedInputError
        If ``alpha`` or ``min_n`` is out of range.
    """
    if not 0 < alpha < 1:
        msg = f"alpha must lie between 0 and 1, got {alpha}. Use 0.05 for one false flag in 20."
        raise RefusedInputError(msg)
    latest = {line.case: line for line in history if line.group == group and line.case != case}
    return tuple(_judge(score, list(latest.values()), alpha, min_n) for score in scores)


def _judge(score: Score, lines: list[HistoryLine], alpha: float, min_n: int | None) -> Score:
    needed = fewest_cases(alpha, score.direction)
    if min_n is not None and min_n < needed:
        msg = (
            f"min_n {min_n} is too few: p cannot reach {alpha} for {score.name!r} "
            f"({score.direction}) with fewer than {needed} earlier cases. Use {needed} or more."
        )
        raise RefusedInputError(msg)
    known = [line for line in lines if score.name in line.scores]
    earlier = [line.scores[score.name] for line in known]
    if len(earlier) < (min_n or needed):
        return _judged(score, {"n_history": len(earlier), "p": None, "state": "no_history"})
    p = conformal_p(score.value, earlier, direction=score.direction)
    judgement = {
        "n_history": len(earlier),
        "p": p,
        "state": "outside" if p <= alpha else "within",
        "calibration_id": _calibration_id(score.name, known),
    }
    return _judged(score, judgement)


def _judged(score: Score, judgement: dict[str, Any]) -> Score:
    return Score(**score.model_dump() | {"calibration_id": None} | judgement)


def _calibration_id(name: str, lines: list[HistoryLine]) -> str:
    used = sorted([line.case, line.key, line.scores[name]] for line in lines)
    return sha256_of_bytes(canonical_json(used))
