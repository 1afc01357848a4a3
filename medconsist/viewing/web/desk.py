"""What every route does first: check the ticket, the right, and the result that it names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from medconsist.errors import AccessError, MedconsistError, MissingInputError
from medconsist.results.cases import finished_results
from medconsist.results.input_places import InputPlaces
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.sealing import SEALED_WORDS, sealed
from medconsist.viewing.web.slide_tiles import SlideTiles
from medconsist.viewing.web.tickets import Purpose, Ticket, TicketOffice
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.slide import Slide

__all__ = ["Desk", "Named", "words_of"]

_MOST_SLIDES = 8


@dataclass(frozen=True, kw_only=True)
class Named:
    """The result that an address names.

    Parameters
    ----------
    study, case, key
        As in the results folder.

    Examples
    --------
    >>> Named(study="mri", case="head", key="0" * 64).case
    'head'
    """

    study: str
    case: str
    key: str


class Desk:
    """Opens results and slides for the routes; one for the process.

    Parameters
    ----------
    root
        Folder of results.
    office
        Checks tickets.
    may
        Whether the holder of a ticket still has the right that it names; asked at every request.
    wrote
        Writes down that the holder of a ticket looks at what may show who the patient is; None
        where nobody writes that down, so that nobody is given it.

    Examples
    --------
    >>> desk = Desk(Path("results"), TicketOffice(), may=lambda ticket: True)
    >>> desk.root.name
    'results'
    """

    def __init__(
        self,
        root: Path,
        office: TicketOffice,
        *,
        may: Callable[[Ticket], bool],
        wrote: Callable[[Ticket, Result, str], None] | None = None,
    ) -> None:
        self.root = root
        self.office = office
        self._may, self._wrote = may, wrote
        self._slides = dict[str, SlideTiles]()
        self._opening = dict[str, Lock]()
        self._inputs = dict[str, InputPlaces]()  # a slide is hashed once, not at every opening
        self._lock = Lock()

    def admitted(
        self, text: str, named: Named, *, purpose: Purpose = "view", gives_original: bool = False
    ) -> StoredResult:
        """Return the result that an address names, for the holder of a ticket.

        Parameters
        ----------
        text
            The ticket.
        named
            What the address names.
        purpose
            What the ticket must be for.
        gives_original
            Whether the address gives what was measured: a sealed ticket is let in there, and gets
            the result without its model's part.

        Raises
        ------
        AccessError
            The ticket is none, has run out, is for something else, or its holder has lost the
            right.
        MissingInputError, CorruptResultError
            There is no such result, or it is not as it was written.
        """
        ticket = self.office.check(text)
        asked = (named.study, named.case, named.key)
        is_sealed = ticket.purpose == "sealed" and purpose == "view"
        if (ticket.study, ticket.case, ticket.key) != asked or (
            ticket.purpose != purpose and not is_sealed
        ):
            msg = "this ticket is for something else; open the case again."
            raise AccessError(msg)
        if is_sealed and not gives_original:
            raise AccessError(SEALED_WORDS)
        if not self._may(ticket):
            msg = "you may no longer look at this case."
            raise AccessError(msg)
        stored = ResultStore(self.root, named.study).read(named.case, named.key)
        return sealed(stored) if is_sealed else stored

    def write_down(self, text: str, stored: StoredResult, *, what: str) -> None:
        """Write down that the holder of a ticket looks at something, before it is given.

        Raises
        ------
        AccessError
            Nobody writes it down, or the holder may not see it.
        StorageError
            It could not be written: nothing is given.
        """
        if self._wrote is None:
            msg = "nobody writes down who looks at this, so that it is not shown."
            raise AccessError(msg)
        self._wrote(self.office.check(text), stored.result, what)

    def slide_file(self, stored: StoredResult) -> Path:
        """Return a file that has the bytes of the slide now, be it open or not.

        Raises
        ------
        MissingInputError
            No file with the bytes of that slide was found where it last lay.
        """
        return self._file(self._slide_of(stored.result), stored.result.study)

    def slide(self, stored: StoredResult) -> SlideTiles:
        """Return the tiles of the slide that a result is of; slides stay open for a while.

        Raises
        ------
        MissingInputError
            No file with the bytes of that slide was found where it last lay.
        """
        digest = self._slide_of(stored.result)
        with self._lock:
            opening = self._opening.setdefault(digest, Lock())
        with opening:  # every byte is read, which takes a while: only who wants this one waits
            return self._used(digest) or self._kept(
                digest, self._opened(digest, stored.result.study)
            )

    def close(self) -> None:
        """Close all slides."""
        with self._lock:
            for tiles in self._slides.values():
                tiles.close()
            self._slides.clear()

    def _opened(self, digest: str, study: str) -> SlideTiles:
        def again() -> Slide:  # after a bad tile too: what lies there then may be another slide
            return open_slide(self._file(digest, study))

        return SlideTiles(again)

    def _file(self, digest: str, study: str) -> Path:
        with self._lock:
            inputs = self._inputs.setdefault(study, ResultStore(self.root, study).inputs)
        path = inputs.find(digest)
        if path is None:
            msg = (
                "the slide of this result is not where it was, or its bytes have changed; "
                "put it back, or run the job again on it."
            )
            raise MissingInputError(msg)
        return path

    def _used(self, digest: str) -> SlideTiles | None:
        with self._lock:
            found = self._slides.pop(digest, None)
            if found is not None:
                self._slides[digest] = found  # the last one used stands at the end
            return found

    def _kept(self, digest: str, opened: SlideTiles) -> SlideTiles:
        with self._lock:
            self._slides[digest] = opened
            while len(self._slides) > _MOST_SLIDES:
                self._slides.pop(next(iter(self._slides)))  # closed when its readers are done
        return opened

    def _slide_of(self, result: Result) -> str:
        """Return the sha256 of the slide: its own, or that of the same item's other results."""
        if "slide" in result.inputs:
            return result.inputs["slide"]
        store = ResultStore(self.root, result.study)
        found = {
            other.inputs["slide"]
            for other in finished_results(store, result.case)
            if "slide" in other.inputs and other.item == result.item
        }
        if len(found) != 1:
            msg = "this result does not say which slide it is of."
            raise MissingInputError(msg)
        return found.pop()


def words_of(error: MedconsistError) -> tuple[int, str]:
    """Return the status of an error and words without a path or a name."""
    if isinstance(error, AccessError):
        return 403, str(error)
    if isinstance(error, MissingInputError):
        return 404, "there is no such thing here."
    if isinstance(error, ValueError):
        return 400, "the address asks for something that cannot be."
    return 500, "this result cannot be read; the log of the server says why."
