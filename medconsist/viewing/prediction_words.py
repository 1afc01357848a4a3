"""What a model says of a case, in the words of its result: probabilities, doubts, facts."""

from dataclasses import dataclass

from medconsist.results.schema import Result

__all__ = ["DOUBT", "PREDICTIONS", "SCOPE", "PredictionWords", "prediction_words"]

PREDICTIONS = ("wsi.prediction", "timeseries.prediction")
DOUBT = "Cannot assess"
SCOPE = (
    "A probability is that of the whole case and comes from a model that knows only cases like "
    "those of its training. It is no finding."
)
_METRIC = "probability of "
_REPEATED = "Probabilities of the case:"  # they stand in the table


@dataclass(frozen=True)
class PredictionWords:
    """What is written beside the pictures or traces of a prediction.

    Parameters
    ----------
    probabilities
        Rows of class and probability, in the order of the model.
    doubts
        Sentences that say why the case cannot be assessed; none if it can.
    facts
        The other notes: the model, the classes that stay possible, its threshold.

    Examples
    --------
    >>> PredictionWords((("tumour", "0.910"),), (), ()).can_assess
    True
    """

    probabilities: tuple[tuple[str, str], ...]
    doubts: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def can_assess(self) -> bool:
        """Whether no sentence says otherwise."""
        return not self.doubts

    @property
    def shown(self) -> str:
        """The class that maps of single tiles are about: the last one; empty if none is named."""
        return self.probabilities[-1][0] if self.probabilities else ""


def prediction_words(result: Result) -> PredictionWords | None:
    """Return the words of a prediction; None for a result of another kind."""
    if result.kind not in PREDICTIONS:
        return None
    probabilities = tuple(
        (metric.name.removeprefix(_METRIC), f"{metric.value:.3f}")
        for metric in result.metrics
        if metric.name.startswith(_METRIC)
    )
    doubts = tuple(note for note in result.notes if note.startswith(DOUBT))
    facts = tuple(
        note for note in result.notes if note not in doubts and not note.startswith(_REPEATED)
    )
    return PredictionWords(probabilities, doubts, facts)
