"""The alarms of the program: level, cause, threshold, what it says, and where its rates stand.

A rate names the row of a bench that measured it (`docs/benchmarks.md`); the numbers themselves are
in ``alarm_rates.json``, which `docs/make_alarms.py` makes of that page. None is written by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from medconsist.viewing.alarm_fault_rows import fault_rows
from medconsist.viewing.alarm_rows import (
    RowOfBench,
    artefact_rows,
    audit_rows,
    outside_rows,
    stain_rows,
    stream_rows,
)
from medconsist.viewing.prediction_words import PREDICTIONS

__all__ = ["ALARMS", "About", "Alarm", "Level", "alarm_named"]

Level = Literal["block", "advise", "inform"]
"""Nothing is shown or done; said above the numbers; said beside them."""

About = Literal["data", "model"]
"""What it tells of. What tells of the model is sealed until a first impression is filed."""

_MRI, _FEATURES, _SIGNALS = "mri.", "wsi.features", "timeseries."
_EVERY = ("",)  # every kind begins so
_BY_CONSTRUCTION = "by construction"
_UNSURE = "more than one class stays possible or none, a case unlike training, too few patients"
_UNSURE_TOO = {
    "wsi.": "an answer that hangs on single tiles, fewer tiles than any case of training",
    _SIGNALS: "signals of poor quality",
}


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm.

    Parameters
    ----------
    name
        Short and unique.
    title, level, cause, threshold, text, where
        In words; ``text`` is how it reads, ``where`` it stands.
    cause_by_kind
        How a kind of result begins, to its cause in the words of that task; see `told_of`.
    about
        Whether it tells of the data or of what a model made of them.
    kinds
        How the kinds of result begin that it can be raised for; none: by another command alone.
    promise
        What holds by construction or by proof; empty if nothing does.
    is_of_each_score
        Whether every score of a trust record can raise it, with rates of its own.
    rows
        Where its rates were measured; none: not measured.

    Examples
    --------
    >>> alarm_named("score_outside").level
    'advise'
    """

    name: str
    title: str
    level: Level
    cause: str
    threshold: str
    text: str
    where: str
    about: About = "data"
    kinds: tuple[str, ...] = _EVERY
    promise: str = ""
    cause_by_kind: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    is_of_each_score: bool = False
    rows: tuple[RowOfBench, ...] = field(default=(), repr=False)

    def is_for(self, kind: str) -> bool:
        """Say whether a result of this kind can raise it."""
        return kind.startswith(self.kinds) if self.kinds else False

    def told_of(self, kind: str) -> "Alarm":
        """Return the alarm in the words of one task.

        Examples
        --------
        >>> "tiles" in alarm_named("cannot_assess").told_of("timeseries.prediction").cause
        False
        """
        own = (cause for begin, cause in self.cause_by_kind.items() if kind.startswith(begin))
        return replace(self, cause=next(own, self.cause))


def _unknown(
    name: str,
    title: str,
    *,
    cause: str,
    text: str,
    where: str,
    unseen: str,
    kinds: tuple[str, ...],
    threshold: str = "no source",
    level: Level = "inform",
) -> Alarm:
    """Return the alarm of a fact that a file does not say; ``unseen`` is what it cannot find."""
    return Alarm(
        name=f"{name}_unknown",
        title=title,
        level=level,
        cause=cause,
        threshold=threshold,
        text=text,
        where=where,
        kinds=kinds,
        promise=f"{_BY_CONSTRUCTION}; {unseen} is not seen",
    )


_LISTED: tuple[Alarm, ...] = (
    Alarm(
        name="stored_bytes",
        title="Stored bytes differ",
        level="block",
        cause="a sha256 does not fit",
        threshold="one bit",
        text="... is not as it was written",
        where="in place of the image; the original is drawn without it",
        promise="every changed byte of result.json and of the arrays is found",
    ),
    Alarm(
        name="score_outside",
        title="Score outside the history of the site",
        level="advise",
        cause="the value is unusual among the earlier cases of this site",
        threshold="conformal p-value of at most 0.05",
        text="Outside the history of this site (p = ..., ... cases).",
        where="at the score",
        about="model",
        promise="false alarms at most 5 % per score if cases are exchangeable",
        is_of_each_score=True,
        rows=outside_rows(),
    ),
    Alarm(
        name="stream",
        title="The stream of cases changed",
        level="advise",
        cause="many slightly unusual cases in a row",
        threshold="conformal martingale (Shiryaev-Roberts) at 1,000",
        text="...: alarm at ... in ... cases.",
        where="in the panel, and in the summary of a run",
        about="model",
        promise="on average at most one false alarm in 1,000 exchangeable cases per score",
        is_of_each_score=True,
        rows=stream_rows(),
    ),
    Alarm(
        name="no_history",
        title="Not judged: no history",
        level="inform",
        cause="too few earlier cases of this site to judge a score by",
        threshold="fewer than 20 cases with this one; 40 where both sides are unusual",
        text="No history yet: ... earlier cases, too few to judge.",
        where="at the score",
        about="model",
        promise=_BY_CONSTRUCTION,
    ),
    Alarm(
        name="cannot_assess",
        title="Cannot assess",
        level="advise",
        cause=f"{_UNSURE}; of slides also {_UNSURE_TOO['wsi.']}; of signals also "
        f"{_UNSURE_TOO[_SIGNALS]}",
        cause_by_kind={kind: f"{_UNSURE}, {also}" for kind, also in _UNSURE_TOO.items()},
        threshold="1 patient in 10 wrong",
        text="Cannot assess: ...",
        where="above the probabilities, in the text and the notes",
        about="model",
        kinds=PREDICTIONS,
        promise="1 patient in 10 at most wrong, if cases are exchangeable and validation had "
        "chosen nothing; each alarm false in at most 1 of 10 such cases",
    ),
    Alarm(
        name="network_behind",
        title="Network behind compressed sensing",
        level="advise",
        cause="its error on withheld samples is above that of compressed sensing, or nothing can "
        "be withheld",
        threshold="the two numbers of this scan, compared; no test",
        text="Shown first: compressed sensing. On the same withheld samples ...",
        where="compressed sensing is shown first",
        about="model",
        kinds=(_MRI,),
    ),
    Alarm(
        name="no_card",
        title="Weights without a card",
        level="advise",
        cause="the result names no model card for its weights",
        threshold="no name",
        text="no card",
        where="at the model",
        about="model",
        promise=_BY_CONSTRUCTION,
    ),
    Alarm(
        name="own_patient",
        title="Patient of the training",
        level="advise",
        cause="the patient was among those that the model was trained on",
        threshold="the same id",
        text="Patient ... was among the training patients ...",
        where="in the notes",
        about="model",
        kinds=PREDICTIONS,
        promise="by construction for ids; a patient under two ids is not seen",
    ),
    Alarm(
        name="simulation_trained",
        title="Simulation-trained",
        level="inform",
        cause="the weights have seen simulated data alone",
        threshold="the record of the weights",
        text="simulation-trained",
        where="wherever the model or its image is named",
        about="model",
        promise="always, by the record of the weights",
    ),
    Alarm(
        name="kept_start",
        title="An adaptation kept its start",
        level="inform",
        cause="no step lowered the error on samples that chose or judged it beyond their noise",
        threshold="beyond the noise of those samples",
        text="Zero-shot: ... the network was left as it was.",
        where="in the notes",
        about="model",
        kinds=(_MRI,),
        promise=_BY_CONSTRUCTION,
    ),
    Alarm(
        name="random_weights",
        title="Features of random weights",
        level="inform",
        cause="an encoder for timings was asked for",
        threshold="--encoder NAME-random",
        text="The weights are random, for timings alone ...",
        where="beside the table and in the notes",
        about="model",
        kinds=("wsi.",),
        promise="always, by the name",
    ),
    Alarm(
        name="other_stain",
        title="Another stain",
        level="inform",
        cause="colours of the overview are not those that --stain names; blocks with "
        "--refuse-other-stain",
        threshold="shares of pink, brown and blue pixels of the overview",
        text="the stain looks ihc ...; the model was made for he",
        where="beside the table and in the notes",
        kinds=("wsi.",),
        rows=stain_rows(),
    ),
    Alarm(
        name="artefact",
        title="Ink, fold, blur, blank",
        level="inform",
        cause="thresholds on the overview and on tiles",
        threshold="0.02 mm^2 of tissue flagged; a planted fault counts as found if 30 % of it are",
        text="Share of the tissue under pen strokes. and so on",
        where="mask and share; tiles under ink are left out",
        kinds=(_FEATURES,),
        rows=artefact_rows(),
    ),
    Alarm(
        name="not_assessed",
        title="Not assessed",
        level="inform",
        cause="fluorescence, or no tiles to judge by",
        threshold="nothing to judge by",
        text="Not assessed: fold, ...",
        where="in the notes",
        kinds=("wsi.",),
        promise=_BY_CONSTRUCTION,
    ),
    Alarm(
        name="other_engine",
        title="Read by OpenSlide",
        level="inform",
        cause="a pixel of the direct engine differs, or it does not read the kind",
        threshold="one pixel of the sampled tiles of each level",
        text="read by OpenSlide: ...",
        where="in the notes",
        kinds=("wsi.",),
    ),
    Alarm(
        name="swapped_arms",
        title="Arm electrodes may be swapped",
        level="inform",
        cause="lead I is upside down beside V6",
        threshold="correlation of their slopes below -0.2",
        text="... right and left arm may be swapped.",
        where="in the notes of the recording",
        kinds=(_SIGNALS,),
    ),
    _unknown(
        "orientation",
        "Orientation unknown",
        cause="the file says nothing of left and right",
        text="no side letters, a banner",
        where="at the images",
        unseen="a file that says the wrong thing",
        kinds=(_MRI,),
    ),
    _unknown(
        "spacing",
        "Lengths unknown",
        cause="the file says no length of a pixel",
        text="no ruler, a badge",
        where="at the images",
        unseen="a plausible wrong value",
        kinds=(_MRI,),
    ),
    _unknown(
        "mpp",
        "Microns per pixel unknown",
        level="block",
        cause="the slide says none, or none that can be",
        threshold="none, or outside the plausible range of manifests",
        text="cannot be embedded (no mpp), left out (no mpp)",
        where="a run refuses the slide until --mpp is given; the screen shows a badge, no ruler",
        unseen="a plausible wrong value",
        kinds=(),
    ),
    _unknown(
        "voltage",
        "Voltage unit unknown",
        cause="the recording says no unit, or several",
        text="no mV scale",
        where="at the traces",
        unseen="a wrong unit in the file",
        kinds=(_SIGNALS,),
    ),
    Alarm(
        name="leak",
        title="A leak",
        level="block",
        cause="patients, copies or sites in two parts; a site that is seen in the features and "
        "goes with the label",
        threshold="one shared id; a site told from the features better than by chance",
        text="one line a finding",
        where="exit code 4 of wsi audit and ts audit",
        kinds=(),
        promise="by construction for ids",
        rows=audit_rows(),
    ),
    Alarm(
        name="test_reopened",
        title="Test opened again",
        level="advise",
        cause="evaluate --final for other weights",
        threshold="the second opening",
        text="The test set has been opened N times, for M different weights ...",
        where="with the figures",
        about="model",
        kinds=(),
        promise="every opening by the program",
    ),
)

ALARMS = tuple(replace(one, rows=one.rows or fault_rows(one.name)) for one in _LISTED)

_BY_NAME: Mapping[str, Alarm] = MappingProxyType({alarm.name: alarm for alarm in ALARMS})


def alarm_named(name: str) -> Alarm:
    """Return one alarm.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    return _BY_NAME[name]
