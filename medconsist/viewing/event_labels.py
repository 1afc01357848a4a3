"""What a reader calls an event on a recording: a short list for each kind of recording."""

from medconsist._records import Record

__all__ = ["EVENT_LABELS", "EventLabel", "event_label"]


class EventLabel(Record):
    """One name of an event.

    Parameters
    ----------
    code
        What is filed.
    words
        What the reader sees.
    tag
        The same in some letters, for the trace.
    wfdb
        Symbol in a WFDB annotation file; ``"`` is a remark.
    is_moment
        Whether it has no length, as a beat.

    Examples
    --------
    >>> EVENT_LABELS["ecg"][1].wfdb
    'V'
    """

    code: str
    words: str
    tag: str
    wfdb: str = '"'
    is_moment: bool = False


def _beat(code: str, words: str, symbol: str) -> EventLabel:
    return EventLabel(code=f"beat-{code}", words=words, tag=symbol, wfdb=symbol, is_moment=True)


_ARTEFACT = EventLabel(code="artefact", words="Artefact", tag="artefact", wfdb="~")
_OTHER = EventLabel(code="other", words="Other, said in a comment", tag="other")

EVENT_LABELS: dict[str, tuple[EventLabel, ...]] = {
    "ecg": (
        _beat("normal", "Normal beat", "N"),
        _beat("ventricular", "Ventricular ectopic beat", "V"),
        _beat("supraventricular", "Supraventricular ectopic beat", "S"),
        _beat("fusion", "Fusion of ventricular and normal beat", "F"),
        _beat("paced", "Paced beat", "/"),
        _beat("unknown", "Beat that cannot be classified", "Q"),
        EventLabel(code="rhythm", words="Change of rhythm", tag="rhythm"),
        EventLabel(code="noise", words="Noise", tag="noise", wfdb="~"),
        _OTHER,
    ),
    "eeg": (
        EventLabel(code="spike", words="Spike or sharp wave", tag="spike", is_moment=True),
        EventLabel(code="seizure", words="Seizure", tag="seizure"),
        EventLabel(code="slowing", words="Slowing", tag="slowing"),
        _ARTEFACT,
        _OTHER,
    ),
    "other": (
        EventLabel(code="event", words="Event", tag="event"),
        _ARTEFACT,
        _OTHER,
    ),
}
"""Kind of a recording to its names, the first one chosen at first."""


def event_label(code: str) -> EventLabel:
    """Return a name by its code; one of another time or site stands for itself.

    Examples
    --------
    >>> event_label("beat-paced").words, event_label("K complex").words
    ('Paced beat', 'K complex')
    """
    known = (label for labels in EVENT_LABELS.values() for label in labels)
    found = next((label for label in known if label.code == code), None)
    return found or EventLabel(code=code, words=code, tag=code[:12])
