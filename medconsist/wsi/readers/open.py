"""Open a slide by the fastest engine that gives the pixels of OpenSlide."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from medconsist.errors import (
    CorruptInputError,
    MissingExtraError,
    RefusedInputError,
    UnsupportedInputError,
)
from medconsist.wsi.readers.cucim_reader import CucimSlide
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.probe import check_file, check_levels
from medconsist.wsi.readers.self_check import difference
from medconsist.wsi.slide import Slide, SlideFacts

__all__ = ["Engine", "open_slide"]

Engine = Literal["auto", "openslide", "direct", "cucim"]

_log = logging.getLogger(__name__)
_EXTENSIONS = {
    "aperio": (".svs", ".tif", ".tiff"),
    "dicom": (".dcm", ".dicom", ""),
    "generic-tiff": (".tif", ".tiff"),
    "hamamatsu": (".ndpi", ".vms", ".vmu"),
    "leica": (".scn", ".tif", ".tiff"),
    "mirax": (".mrxs",),
    "philips": (".tif", ".tiff"),
    "sakura": (".svslide",),
    "trestle": (".tif", ".tiff"),
    "ventana": (".bif", ".tif", ".tiff"),
    "zeiss": (".czi", ".zvi"),
}


def open_slide(path: Path | str, *, engine: Engine = "auto", check: bool = True) -> Slide:
    """Return an open slide.

    The file is checked first (`check_file`, and the first and last tile of every level). Then
    ``"auto"`` takes the direct engine where it reads the format and some tiles of every level are
    equal to OpenSlide's, else OpenSlide; ``slide.engine`` and ``slide.notes`` say which, and why.

    Parameters
    ----------
    path
        The file; its content decides, not its extension.
    engine
        ``"openslide"``, ``"direct"`` or ``"cucim"`` take that one or fail.
    check
        False leaves the checks and the comparison out, for a file that passed them before.

    Raises
    ------
    MissingInputError
        There is no such file.
    CorruptInputError
        The file is cut or damaged.
    UnsupportedInputError
        No slide; or the engine asked for does not read it, or reads it otherwise than OpenSlide.
    MissingExtraError
        The engine is not installed.

    Examples
    --------
    >>> import tempfile
    >>> open_slide(Path(tempfile.mkdtemp()) / "a.svs")
    Traceback (most recent call last):
    medconsist.errors.MissingInputError: there is no file a.svs.
    """
    path = Path(path)
    if check:
        check_file(path)
    reference = OpenSlideSlide(path)
    try:
        if check:
            check_levels(reference)
        slide = _choose(reference, engine, check=check)
    except BaseException:
        reference.close()
        raise
    slide.notes = (*_extension(slide), *slide.notes)
    if slide is not reference:
        reference.close()
    return slide


def _choose(reference: OpenSlideSlide, engine: Engine, *, check: bool) -> Slide:
    if engine == "openslide":
        return reference
    if engine != "auto":
        return _other(reference, engine, check=check)
    try:
        return _other(reference, "direct", check=check)
    except (CorruptInputError, MissingExtraError, UnsupportedInputError) as reason:
        reference.notes = (f"read by OpenSlide: {reason}",)
        return reference


def _other(reference: OpenSlideSlide, engine: Engine, *, check: bool) -> Slide:
    """Open the slide by another engine and compare it with OpenSlide."""
    slide = _engine(engine)(reference.facts.path, reference.facts)
    try:
        why = difference(slide, reference) if check else None
    except BaseException:
        slide.close()
        raise
    if why is None:
        return slide
    slide.close()
    msg = f"{reference.facts.path.name}: the {engine} engine differs from OpenSlide {why}."
    _log.warning(msg)
    raise UnsupportedInputError(msg)


def _engine(engine: Engine) -> Callable[[Path, SlideFacts], Slide]:
    if engine == "direct":
        return DirectSlide
    if engine == "cucim":
        return CucimSlide
    msg = f"there is no engine {engine!r}; allowed are 'auto', 'openslide', 'direct' and 'cucim'."
    raise RefusedInputError(msg)


def _extension(slide: Slide) -> tuple[str, ...]:
    """Say where the name of a file promises another kind of slide than its bytes are."""
    vendor, named = slide.facts.vendor, slide.facts.path.suffix
    usual = _EXTENSIONS.get(vendor, (named.lower(),))
    if named.lower() in usual:
        return ()
    return (f"the file is named {named or 'without extension'}, its content is {vendor}",)
