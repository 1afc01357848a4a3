"""What a method or a model claims of a case: the image that is shown first, or a prediction."""

from dataclasses import dataclass

from medconsist.results.methods import method_of, reason_of_order
from medconsist.results.schema import Result
from medconsist.viewing.numbers import image_title, model_words, singular
from medconsist.viewing.prediction_words import SCOPE, prediction_words
from medconsist.viewing.signal_words import signal_words

__all__ = ["Claim", "claim_of"]

_SECOND = ("cirim", "cs")  # roles of an image that another method made
_NO_CLAIM = "No prediction: nothing here says what is in this case."


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed, in words.

    Parameters
    ----------
    title
        Of its part of the panel.
    doubts
        Why it should not be believed, a sentence each.
    heads, rows
        Class, probability, and its span where there is one; none where nothing is predicted.
    said
        Sentences that say what it is, and is not.
    facts
        How the model came to it: training, threshold, notes.

    Examples
    --------
    >>> Claim(title="Image shown first", said=("Zero-filled.",)).rows
    ()
    """

    title: str
    doubts: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    said: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What the rows are of."""
        return f"Probabilities of {self.title.removeprefix('What the model says of ')}"


def claim_of(result: Result) -> Claim:
    """Return the claim of a result, in the words of its own task."""
    if result.kind.startswith("mri."):
        return _image(result)
    signal = signal_words(result) if result.kind.startswith("timeseries.") else None
    if signal is not None:  # without the names of other patients, which the notes may hold
        return Claim(
            title="What the model says of the patient",
            doubts=signal.prediction.doubts,
            heads=("Class", "Probability", "Over own trials"),
            rows=signal.rows,
            said=tuple(filter(None, (signal.span, SCOPE))),
            facts=signal.prediction.facts,
        )
    prediction = prediction_words(result)
    if prediction is None or not prediction.probabilities:
        return Claim(title="What the model says", said=(_NO_CLAIM, f"Made by: {_made(result)}."))
    return Claim(
        title="What the model says of the case",
        doubts=prediction.doubts,
        heads=("Class", "Probability"),
        rows=prediction.probabilities,
        said=(SCOPE,),
        facts=tuple(map(singular, prediction.facts)),
    )


def _image(result: Result) -> Claim:
    """Return which image stands first, which second, and why."""
    roles = {record.role for record in result.arrays}
    if "reconstruction" not in roles:
        return Claim(title="Image shown first", said=("This result holds no reconstruction.",))
    first = method_of(result, "reconstruction")
    second = [
        image_title(result, role)
        for role in _SECOND
        if role in roles and method_of(result, role) not in (None, first)
    ]
    words = f"{image_title(result, 'reconstruction')}."
    if second:
        words += f" Second: {', '.join(second)}."
    made = () if second or result.model is not None else (f"Made by: {_made(result)}.",)
    reason = reason_of_order(result)
    return Claim(title="Image shown first", said=tuple(filter(None, (words, *made, reason))))


def _made(result: Result) -> str:
    return model_words(result, digits=12)
