"""The routes beside the page: ``/api/{study}/{case}/{key}/...?t=TICKET``.

====================================  ==========================================================
``slide``                             size, levels, microns per pixel, places of maps, as JSON
``slide/{level}/{column}_{row}.jpg``  a tile
``map/{role}.png``                    a map of the slide, one pixel a value, clear where unknown
``volume/{role}.nii``                 a volume or map for drawing, see `display_nifti`
``region/{role}``                     numbers of a region: plane, top, left, bottom, right, shape
``mask/{number}.png``                 where k-space was measured
====================================  ==========================================================

Every answer is private to its holder, and one that refuses carries no path and no name.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np

from medconsist._extras import require
from medconsist.errors import MedconsistError, MissingInputError, RefusedInputError
from medconsist.results.schema import ArrayRecord
from medconsist.results.store import StoredResult
from medconsist.viewing.panes import Pane, read_pane
from medconsist.viewing.picture import encode_png
from medconsist.viewing.slide_maps import map_colours, slide_map
from medconsist.viewing.trust_maps import map_roles
from medconsist.viewing.web.desk import Desk, Named, words_of
from medconsist.viewing.web.mr_routes import mask_picture
from medconsist.viewing.web.signal_routes import SIGNAL_ORIGINALS, SIGNAL_PATHS, signal_paths
from medconsist.viewing.web.slide_routes import SLIDE_IDENTITY, slide_paths
from medconsist.viewing.web.volumes import Region, display_nifti, region_numbers

__all__ = ["api_routes"]

logger = logging.getLogger(__name__)

_PRIVATE = "private, max-age=900"  # of one key, whose bytes never change
_NEVER = "no-store"
_PANES = 8
_CLEAR = 255
_DIGITS = 9
_FAR_PX, _LEAST_PX = 1e6, 1e-3  # beyond them the sums of a region overflow
_EDGES = ("top", "left", "bottom", "right")
_ORIGINAL = frozenset(
    {
        "slide",
        "slide/{level}/{column}_{row}.jpg",
        "volume/{role}.nii",
        "region/{role}",
        "mask/{number}.png",
    }
)
"""Addresses that let a sealed ticket in: they give arrays by role, or the slide as it is stored."""

_HEAVY = frozenset(
    {"map/{role}.png", "volume/{role}.nii", "slide/region.jpg", *SLIDE_IDENTITY, *SIGNAL_PATHS}
)
"""Addresses whose answer takes much memory while it is made."""
_HEAVY_AT_ONCE = 4

Answer = tuple[bytes, str]
Work = Callable[[StoredResult, Any], Answer]


def api_routes(desk: Desk) -> list[Any]:
    """Return the routes, for ``st.App`` or any Starlette application.

    Parameters
    ----------
    desk
        Opens what an address names.

    Raises
    ------
    MissingExtraError
        Starlette is not installed.
    """
    routing = require("starlette.routing", extra="viewer")
    reader = _Reader(desk)
    few = require("anyio", extra="viewer").CapacityLimiter(_HEAVY_AT_ONCE)
    paths: dict[str, Work] = {
        "slide": reader.slide,
        "slide/{level}/{column}_{row}.jpg": reader.tile,
        "map/{role}.png": reader.map,
        "volume/{role}.nii": reader.volume,
        "region/{role}": reader.region,
        "mask/{number}.png": mask_picture,
        **slide_paths(desk),
        **signal_paths(),
    }
    return [
        routing.Route(
            f"/{{study}}/{{case}}/{{key}}/{path}",
            _endpoint(
                desk,
                work,
                gives_original=path in _ORIGINAL | SIGNAL_ORIGINALS,
                seen_as=SLIDE_IDENTITY.get(path, ""),
                limiter=few if path in _HEAVY else None,
            ),
            methods=["GET"],
        )
        for path, work in paths.items()
    ]


def _endpoint(
    desk: Desk,
    work: Work,
    *,
    gives_original: bool,
    seen_as: str,
    limiter: Any,  # noqa: ANN401  anyio comes with the viewer
) -> Callable[[Any], Any]:
    """Return what answers an address: ticket first, then the work, in a thread.

    Heavy work waits for its turn outside of the threads, so that it keeps no tile waiting. What may
    show who the patient is has a name ``seen_as``: it asks for a ticket of that purpose, the look
    is written down before it is given, and no browser keeps it.
    """
    responses = require("starlette.responses", extra="viewer")
    threads = require("anyio.to_thread", extra="viewer")

    def answer(request: Any) -> Any:  # noqa: ANN401  starlette comes with the viewer
        at = request.path_params
        try:
            named = Named(study=at["study"], case=at["case"], key=at["key"])
            ticket = request.query_params.get("t", "")
            stored = desk.admitted(
                ticket,
                named,
                purpose="identity" if seen_as else "view",
                gives_original=gives_original,
            )
            content, kind = work(stored, request)
            if seen_as:
                desk.write_down(ticket, stored, what=seen_as.format_map(at))
        except MedconsistError as error:
            status, words = words_of(error)
            logger.info("%r refused, %d: %s", request.url.path, status, error)
            headers = {"cache-control": _NEVER}
            return responses.PlainTextResponse(words, status_code=status, headers=headers)
        kept = _NEVER if seen_as else _PRIVATE
        return responses.Response(content, media_type=kind, headers={"cache-control": kept})

    async def endpoint(request: Any) -> Any:  # noqa: ANN401
        return await threads.run_sync(answer, request, limiter=limiter)

    return endpoint


class _Reader:
    """What each address gives, once its holder was let in."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pane = lru_cache(maxsize=_PANES)(_verified_pane)

    def slide(self, stored: StoredResult, _request: object) -> Answer:
        info = self._desk.slide(stored).info()
        placed = (one for one in stored.result.arrays if one.place is not None)
        info["maps"] = {one.role: _box(one) for one in placed if one.dtype == "float32"}
        return _json(info)

    def tile(self, stored: StoredResult, request: Any) -> Answer:  # noqa: ANN401
        at = request.path_params
        level, row, column = (_number(at[one]) for one in ("level", "row", "column"))
        return self._desk.slide(stored).tile(level, row, column), "image/jpeg"

    def map(self, stored: StoredResult, request: Any) -> Answer:  # noqa: ANN401
        role = request.path_params["role"]
        values = stored.array(_known(stored, role).role)
        if values.dtype != np.float32 or values.ndim != 2:
            msg = f"{role} is no map of a slide."
            raise MissingInputError(msg)
        alpha = np.where(np.isfinite(values), _CLEAR, 0).astype(np.uint8)
        picture = np.concatenate([map_colours(values, slide_map(role)), alpha[..., None]], axis=2)
        return encode_png(picture), "image/png"

    def volume(self, stored: StoredResult, request: Any) -> Answer:  # noqa: ANN401
        pane = self._drawn(stored, request.path_params["role"])
        return display_nifti(pane.values, pane.record), "application/octet-stream"

    def region(self, stored: StoredResult, request: Any) -> Answer:  # noqa: ANN401
        pane = self._drawn(stored, request.path_params["role"])
        region = _region(request.query_params)
        return _json(asdict(region_numbers(pane.values, region, unit=pane.record.unit)))

    def _drawn(self, stored: StoredResult, role: str) -> "_Drawn":
        _known(stored, role)
        return self._pane(_Same(stored), role)


class _Same:
    """A stored result that equals another of the same bytes, as the name in a cache."""

    def __init__(self, stored: StoredResult) -> None:
        self.stored = stored

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    @property
    def _bytes(self) -> tuple[str, str]:
        return str(self.stored.folder.path), self.stored.result.content_sha256


class _Drawn:
    """A volume that was verified."""

    def __init__(self, pane: Pane, values: Any) -> None:  # noqa: ANN401  a numpy array
        self.record, self.values = pane.record, values


def _verified_pane(same: _Same, role: str) -> _Drawn:
    pane = read_pane(same.stored, role, signed=role in map_roles(same.stored.result))
    if pane.values is None:
        raise MissingInputError(pane.problem)
    return _Drawn(pane, pane.values)


def _known(stored: StoredResult, role: str) -> ArrayRecord:
    """Return the record of a role, which then is no text of a stranger any more."""
    try:
        return stored.record(role)
    except RefusedInputError as error:
        msg = "this result has no such array."
        raise MissingInputError(msg) from error


def _number(text: str) -> int:
    """Return a number of an address; one of thousands of digits would be an error of Python's."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        msg = "a tile has the numbers of its level, column and row."
        raise MissingInputError(msg)
    return int(text)


def _region(query: Any) -> Region:  # noqa: ANN401
    try:
        top, left, bottom, right = (float(query[one]) for one in _EDGES)
        plane, shape = int(query["plane"]), query.get("shape", "ellipse")
    except (KeyError, ValueError) as error:
        msg = "a region needs plane, top, left, bottom and right, all numbers."
        raise RefusedInputError(msg) from error
    is_near = all(abs(edge) <= _FAR_PX for edge in (top, left, bottom, right))
    if not (is_near and bottom - top >= _LEAST_PX and right - left >= _LEAST_PX):
        msg = "a region lies on the image, its top above its bottom and its left before its right."
        raise RefusedInputError(msg)
    return Region(plane, top, left, bottom, right, shape)


def _box(record: ArrayRecord) -> list[float] | None:
    """Return x, y, width and height of a map in level-0 pixels."""
    place = record.place
    if place is None or place.unit != "level-0 px":
        return None
    height, width = (n * scale for n, scale in zip(record.shape[:2], place.scale, strict=False))
    return [place.offset[1], place.offset[0], width, height]


def _json(value: dict[str, Any]) -> Answer:
    return json.dumps(value, allow_nan=False).encode(), "application/json"
