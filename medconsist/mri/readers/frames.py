"""One frame of a file that holds several: a time frame, an echo, a repetition."""

from medconsist.errors import RefusedInputError

__all__ = ["choose_frame"]


def choose_frame(
    count: int, frame: int | None, *, what: str, name: str
) -> tuple[int, tuple[str, ...]]:
    """Return the index of the frame to read, and a note if there was a choice.

    Parameters
    ----------
    count
        Frames in the file.
    frame
        The one asked for, from 0; None where the caller knows of one only.
    what
        What a frame is, in the plural, e.g. ``"echoes"``.
    name
        Of the file, for the message.

    Raises
    ------
    RefusedInputError
        If the file has several and none was asked for, or not the one asked for.
    """
    if frame is None and count > 1:
        msg = (
            f"{name} holds {count} frames ({what}), which are separate images; choose one with "
            f"--frame N, N from 0 to {count - 1}."
        )
        raise RefusedInputError(msg)
    if frame is not None and not 0 <= frame < count:
        allowed = f"0 to {count - 1}" if count > 1 else "0, or leave it out"
        msg = f"{name} has no frame {frame}; it holds {count} ({what}). Allowed: {allowed}."
        raise RefusedInputError(msg)
    if count == 1:
        return 0, ()
    return frame or 0, (f"Frame {frame} of {count} ({what}, counted from 0).",)
