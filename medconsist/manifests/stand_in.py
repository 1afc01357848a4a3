"""Public data in the place of those that a paper used."""

from medconsist._records import Record

__all__ = ["StandIn"]


class StandIn(Record):
    """Files of a data set that can be taken for a part of a published design.

    Parameters
    ----------
    design
        Of which paper, in a word.
    part
        Which of its parts, e.g. a contrast and an organ.
    files
        Names among those of the data set.
    what
        How near they come, in a sentence.
    source
        Where that stands.
    verified
        Whether that source was read for this sentence; else it is from memory or hearsay.

    Examples
    --------
    >>> one = StandIn(design="theirs", part="FLAIR brain", files=("*_FLAIR*.h5",), what="0.3 T.",
    ...               source="doi:10.1038/s41597-023-02181-4", verified=True)
    >>> one.text
    'FLAIR brain of theirs: *_FLAIR*.h5. 0.3 T.'
    """

    design: str
    part: str
    files: tuple[str, ...]
    what: str
    source: str
    verified: bool

    @property
    def text(self) -> str:
        """For a terminal."""
        doubt = "" if self.verified else "not verified: "
        return f"{doubt}{self.part} of {self.design}: {' '.join(self.files)}. {self.what}"
