"""The bags of a study: patient > case > slide, found by their results and opened when used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float16, Int64
from torch import Tensor

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore, StoredResult
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import read_bag

__all__ = ["BAG_ROLE", "BagEntry", "CaseBag", "bags_of", "case_bag", "current_bags", "only_current"]

BAG_ROLE = "bag"


@dataclass(frozen=True)
class BagEntry:
    """One slide of one case whose bag is finished; its file is opened by :meth:`open`.

    Parameters
    ----------
    stored
        Its result; the item is the slide.

    Examples
    --------
    >>> bags_of(Path("results"), "no-such-study")
    []
    """

    stored: StoredResult

    @property
    def patient(self) -> str | None:
        """Opaque id, None if there is none."""
        return self.stored.result.patient

    @property
    def case(self) -> str:
        """Opaque id of the case."""
        return self.stored.result.case

    @property
    def slide(self) -> str | None:
        """The item of the result."""
        return self.stored.result.item

    @property
    def key(self) -> str:
        """Key of the result."""
        return self.stored.result.key

    @property
    def encoder_sha256(self) -> str | None:
        """Of the weights, None for an encoder without any."""
        model = self.stored.result.model
        return None if model is None else model.sha256

    @property
    def path(self) -> Path:
        """Where the bag lies; not verified."""
        return self.stored.folder.path / self.stored.record(BAG_ROLE).path

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles and length of a feature, as the result says."""
        return self.stored.record(BAG_ROLE).shape

    def open(self, *, verify: bool = True) -> Bag:
        """Return the bag, memory-mapped.

        Parameters
        ----------
        verify
            Compare every byte with the sha256 of the result first; False for one that was
            verified before.

        Raises
        ------
        CorruptResultError
            A byte differs from what was stored.
        """
        path = self.stored.file(BAG_ROLE) if verify else self.path
        return read_bag(path, verify=False)


@dataclass(frozen=True, eq=False)
class CaseBag:
    """The slides of a case one after the other, without a copy of their features.

    Tile ``t`` of the case is tile ``t - offsets[s]`` of slide ``s``.

    Parameters
    ----------
    bags
        One for each slide, of one encoder.

    Raises
    ------
    RefusedInputError
        No slide, one slide twice, several encoders, or features of several lengths.

    Examples
    --------
    >>> from medconsist.wsi.bags.simulate import simulated_bag
    >>> slides = [simulated_bag(tiles=n, dim=4, slide=f"slide-{n}") for n in (2, 3)]
    >>> case = CaseBag(tuple(slides))
    >>> case.offsets.tolist(), case.place_of(3), case.rows(torch.tensor([4, 0])).shape
    ([0, 2, 5], (1, 1), torch.Size([2, 4]))
    """

    bags: tuple[Bag, ...]

    def __post_init__(self) -> None:
        slides = [bag.header.slide for bag in self.bags]
        encoders = {(bag.header.encoder, bag.dim) for bag in self.bags}
        if len(encoders) != 1 or len(set(slides)) != len(slides):
            named = sorted({f"{encoder.name} ({dim})" for encoder, dim in encoders})
            msg = (
                f"A case needs one or more different slides of one encoder; got the slides "
                f"{slides} of the encoders {named}. Choose one key for each slide."
            )
            raise RefusedInputError(msg)

    def __len__(self) -> int:
        """Return the number of tiles of all slides."""
        return sum(map(len, self.bags))

    @cached_property
    def offsets(self) -> Int64[Tensor, " slides_and_end"]:
        """First tile of each slide, and the number of all tiles at the end."""
        sizes = torch.tensor([0, *map(len, self.bags)])
        return sizes.cumsum(0)

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self.bags[0].dim

    def place_of(self, tile: int) -> tuple[int, int]:
        """Return the slide of a tile and its number there.

        Raises
        ------
        RefusedInputError
            There is no such tile.
        """
        if not 0 <= tile < len(self):
            msg = f"There is no tile {tile}; allowed are 0 to {len(self) - 1}."
            raise RefusedInputError(msg)
        slide = int(torch.searchsorted(self.offsets, tile, right=True)) - 1
        return slide, tile - int(self.offsets[slide])

    def rows(self, tiles: Int64[Tensor, " n"]) -> Float16[Tensor, "n features"]:
        """Return the features of these tiles; only they are read and copied.

        Raises
        ------
        RefusedInputError
            There is no such tile.
        """
        found = torch.empty(len(tiles), self.dim, dtype=torch.float16)
        outside = tiles[(tiles < 0) | (tiles >= len(self))]
        if len(outside):
            self.place_of(int(outside[0]))
        slides = torch.searchsorted(self.offsets, tiles, right=True) - 1
        for slide, bag in enumerate(self.bags):
            mine = slides == slide
            found[mine] = bag.features[tiles[mine] - self.offsets[slide]]
        return found


def bags_of(root: Path, study: str, *, encoder_sha256: str | None = None) -> list[BagEntry]:
    """Return the bags of a study, sorted by case, slide and key; their files are not opened.

    Parameters
    ----------
    root
        Folder of all studies.
    study
        Its id.
    encoder_sha256
        Only bags of these weights; None for all.

    Raises
    ------
    CorruptResultError
        A ``result.json`` is not as it was written; says how to set it aside.
    """
    store = ResultStore(root, study)
    results = [store.read(case, key) for case in store.cases() for key in store.keys(case)]
    entries = [BagEntry(stored) for stored in results if BAG_ROLE in stored.roles()]
    if encoder_sha256 is not None:
        entries = [entry for entry in entries if entry.encoder_sha256 == encoder_sha256]
    return sorted(entries, key=lambda entry: (entry.case, entry.slide or "", entry.key))


def current_bags(root: Path, study: str, *, encoder_sha256: str | None = None) -> list[BagEntry]:
    """Return the bags of a study without older results of a slide that has its case's current one.

    Where the current result is no bag but was made from some, as a prediction is, these count as
    current.

    Raises
    ------
    CorruptResultError
        As :func:`bags_of`, or a pointer to the current result is damaged.
    """
    entries = bags_of(root, study, encoder_sha256=encoder_sha256)
    return only_current(entries, ResultStore(root, study))


def only_current(entries: Sequence[BagEntry], store: ResultStore) -> list[BagEntry]:
    """Return, of some bags of a study, what `current_bags` returns of all."""
    shown = {case: _shown(store, case) for case in {entry.case for entry in entries}}

    def is_shown(entry: BagEntry) -> bool:
        digest = entry.stored.record(BAG_ROLE).sha256
        return entry.key in shown[entry.case] or digest in shown[entry.case]

    found = {(entry.case, entry.slide) for entry in entries if is_shown(entry)}
    return [entry for entry in entries if is_shown(entry) or (entry.case, entry.slide) not in found]


def _shown(store: ResultStore, case: str) -> set[str]:
    """Return the key of the current result of a case, and the sha256 of all that it was made of."""
    key = store.current(case)
    return set() if key is None else {key, *store.read(case, key).result.inputs.values()}


def case_bag(entries: Sequence[BagEntry], *, verify: bool = True) -> CaseBag:
    """Open the slides of one case as one bag.

    Parameters
    ----------
    entries
        Of one case; one key for each slide.
    verify
        See :meth:`BagEntry.open`.

    Raises
    ------
    MissingInputError
        There is no entry.
    RefusedInputError
        Several cases or patients, a slide twice, or several encoders.
    CorruptResultError
        A byte differs from what was stored.
    """
    if not entries:
        msg = "There is no bag to join. Embed the slides of the case first."
        raise MissingInputError(msg)
    owners = sorted({f"{entry.patient or 'unknown'}/{entry.case}" for entry in entries})
    if len(owners) != 1:
        msg = f"Got slides of {', '.join(owners[:5])}; allowed are those of one patient and case."
        raise RefusedInputError(msg)
    return CaseBag(tuple(entry.open(verify=verify) for entry in entries))
