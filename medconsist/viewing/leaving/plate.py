"""The picture of a signed result, drawn by the program from what is stored and was filed.

It is no picture of a reader's screen. It is made of the verified arrays, the comments and the
shapes alone, so that the same signature has the same picture whenever it is made.
"""

from dataclasses import replace

from medconsist.errors import AccessError, MedconsistError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.viewing.leaving.drawing import banded
from medconsist.viewing.leaving.paper import Picture
from medconsist.viewing.leaving.plate_mr import mr_scene
from medconsist.viewing.leaving.plate_scene import Filed, Scene
from medconsist.viewing.leaving.plate_signal import signal_scene
from medconsist.viewing.leaving.plate_slide import slide_scene
from medconsist.viewing.leaving.report import Review
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.sealing import SEALED_WORDS, SealedResult

__all__ = ["plate_of", "with_plate"]

_DIGITS = 12
_UNREAD = "the stored result could not be read while it was drawn."


def plate_of(stored: StoredResult, filed: Filed) -> Picture:
    """Return the picture of a result: about a megapixel, with words burned in below it.

    Parameters
    ----------
    stored
        The result; every byte of it is verified first.
    filed
        What is marked on it.

    Raises
    ------
    AccessError
        The result is sealed.
    RefusedInputError
        A byte differs from what was stored; there is nothing to draw; a shape is no polygon.
    StorageError
        It cannot be read.
    """
    if isinstance(stored, SealedResult):
        raise AccessError(SEALED_WORDS)
    if stored.folder.problems():
        msg = "the stored result is not as it was written: its sha256 does not fit, and no picture "
        msg += "is drawn of it."
        raise RefusedInputError(msg)
    scene = _scene(stored, filed)
    result = stored.result
    sha = result.content_sha256[:_DIGITS]
    said = f"Study {result.study}, case {result.case}; result sha256 {sha}; drawn: {scene.roles}."
    return Picture(
        pixels=banded(scene.pixels, [NOTICE, said, *scene.words]),
        caption=f"Drawn by the program from the stored result sha256 {sha}: {scene.roles}. "
        + " ".join(scene.words),
    )


def with_plate(review: Review, stored: StoredResult) -> Review:
    """Return a review with the picture of its result, or with why it has none.

    Parameters
    ----------
    review
        With the comments and shapes that were filed until its verdict was.
    stored
        Its result.
    """
    filed = Filed(comments=review.comments, shapes=review.shapes)
    try:
        return replace(review, pictures=(plate_of(stored, filed),), no_picture="")
    except (AccessError, RefusedInputError) as error:
        why = str(error)
    except MedconsistError:  # its words may name a folder of the machine
        why = _UNREAD
    return replace(review, pictures=(), no_picture=why)


def _scene(stored: StoredResult, filed: Filed) -> Scene:
    match stored.result.kind.split(".")[0]:
        case "mri":
            return mr_scene(stored, filed)
        case "wsi":
            return slide_scene(stored, filed)
        case "timeseries":
            return signal_scene(stored)
        case other:
            msg = f"results of the kind {other} have no picture."
            raise RefusedInputError(msg)
