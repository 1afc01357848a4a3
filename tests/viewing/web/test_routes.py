"""Who may have what by an address, and what the address gives."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from medconsist._digests import sha256_of_path
from medconsist.errors import MissingInputError
from medconsist.results.input_places import InputPlaces
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.headers import SecurityHeaders
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.tickets import Ticket, TicketOffice
from tests.viewing.slides import embed_small, predict_small
from tests.viewing.web.asgi import Answer, get

OFFICE = TicketOffice(b"k" * 32)


class Site:
    """An application over a folder of results, and a person whose right can be taken away."""

    def __init__(self, root: Path) -> None:
        self.allowed = True
        self.desk = Desk(root, OFFICE, may=lambda _ticket: self.allowed)
        routes = [Mount("/api", routes=api_routes(self.desk))]
        self.app = SecurityHeaders(Starlette(routes=routes))

    def ask(self, stored: StoredResult, path: str, **query: Any) -> Answer:
        """Ask with a ticket for this result."""
        return self.ask_with(OFFICE.sign(_ticket(stored)), stored, path, **query)

    def ask_with(self, ticket: str, stored: StoredResult, path: str, **query: Any) -> Answer:
        """Ask with any ticket."""
        one = stored.result
        return get(self.app, f"/api/{one.study}/{one.case}/{one.key}/{path}", t=ticket, **query)


def _ticket(stored: StoredResult) -> Ticket:
    one = stored.result
    return Ticket(subject="u1", session="s1", study=one.study, case=one.case, key=one.key)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a slide: embedded and predicted."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def slide(root: Path) -> StoredResult:
    """A slide that was embedded."""
    return embed_small(root)


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    """The application."""
    site = Site(root)
    with closing(site.desk):
        yield site


PATHS = ("slide", "slide/0/0_0.jpg", "map/novelty.png", "volume/cs.nii", "region/cs")


def test_a_slide_tells_its_size_and_gives_its_tiles(site: Site, slide: StoredResult) -> None:
    info = json.loads(site.ask(slide, "slide").body)
    width, height, tile_width, tile_height = info["levels"][0]
    assert (width, height) == (info["width"], info["height"])
    tile = site.ask(slide, "slide/0/0_0.jpg")
    assert tile.headers["content-type"] == "image/jpeg"
    assert tile.headers["cache-control"].startswith("private")
    picture = Image.open(io.BytesIO(tile.body))
    assert picture.size == (min(tile_width, width), min(tile_height, height))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ticket", ["", "x", "a.b.c"])
def test_without_a_ticket_there_is_nothing(
    site: Site, slide: StoredResult, path: str, ticket: str
) -> None:
    answer = site.ask_with(ticket, slide, path)
    assert answer.status == 403
    assert answer.headers["cache-control"] == "no-store"
    assert b"no ticket" in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "other", [{"study": "other"}, {"case": "other"}, {"key": "9" * 64}, {"purpose": "identity"}]
)
def test_a_ticket_for_something_else_gives_nothing(
    site: Site, slide: StoredResult, path: str, other: dict[str, Any]
) -> None:
    ticket = OFFICE.sign(replace(_ticket(slide), **other))
    assert site.ask_with(ticket, slide, path).status == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_ticket_that_ran_out_gives_nothing(
    site: Site, slide: StoredResult, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    ticket, now = OFFICE.sign(_ticket(slide)), time.time()
    monkeypatch.setattr(time, "time", lambda: now + OFFICE.seconds + 2)
    answer = site.ask_with(ticket, slide, path)
    assert (answer.status, b"run out" in answer.body) == (403, True)


@pytest.mark.parametrize("path", PATHS)
def test_a_right_that_was_taken_away_ends_at_once(
    site: Site, slide: StoredResult, path: str
) -> None:
    site.allowed = False
    assert site.ask(slide, path).status == 403


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "<script>alert(1)</script>",
        "\u202egnp",
        "a\x00b",
        "x" * 4096,
        "overview/../../result.json",
    ],
)
def test_hostile_names_give_nothing_and_are_not_said_back(
    site: Site, slide: StoredResult, name: str
) -> None:
    for path in (f"map/{name}.png", f"volume/{name}.nii", f"region/{name}"):
        answer = site.ask(slide, path)
        assert answer.status in (400, 404)
        assert name.encode() not in answer.body
    one = slide.result
    for address in (f"/api/{name}/{one.case}/{one.key}/slide", f"/api/{one.study}/{name}/x/slide"):
        assert get(site.app, address, t=OFFICE.sign(_ticket(slide))).status in (400, 403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "slide/99/0_0.jpg",
        "slide/0/999_0.jpg",
        "map/none.png",
        f"slide/{'9' * 5000}/0_0.jpg",
        f"slide/0/{'9' * 5000}_0.jpg",
        "slide/0/-1_0.jpg",
        "slide/0/\u0661_0.jpg",
        "slide/0/0_0_0.jpg",
    ],
)
def test_what_is_not_there_is_404_without_a_path(
    site: Site, slide: StoredResult, path: str, root: Path
) -> None:
    answer = site.ask(slide, path)
    assert answer.status == 404
    assert str(root).encode() not in answer.body


def test_a_slide_that_is_opened_again_is_not_hashed_again(
    site: Site, slide: StoredResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = list[Path]()

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256_of_path(path)

    monkeypatch.setattr("medconsist.results.input_places.sha256_of_path", counted)
    for _ in range(3):
        assert site.ask(slide, "slide").status == 200
        site.desk.close()
    assert len(hashed) == 1


def test_a_slide_that_is_being_opened_keeps_no_other_waiting(
    site: Site, slide: StoredResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = Event(), Event()
    first = site.desk.slide(slide)
    other = StoredResult(
        slide.folder, slide.result.model_copy(update={"inputs": {"slide": "9" * 64}})
    )

    def slow(_places: InputPlaces, _sha256: str) -> None:
        begun.set()
        assert go_on.wait(20)

    monkeypatch.setattr(InputPlaces, "find", slow)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(site.desk.slide, other)
        assert begun.wait(20)
        try:
            assert pool.submit(site.desk.slide, slide).result(20) is first
        finally:
            go_on.set()
        with pytest.raises(MissingInputError, match="is not where it was"):
            waiting.result(20)


def test_a_slide_that_was_moved_is_not_there(site: Site, tmp_path: Path) -> None:
    stored = embed_small(tmp_path)
    moved = Site(tmp_path)
    path = moved.desk.root.rglob("*.svs")
    for one in [*path, *tmp_path.parent.glob("*.svs")]:
        one.rename(one.with_suffix(".gone"))
    assert moved.ask(stored, "slide").status == 404


def test_a_map_lies_where_it_was_stored_and_is_clear_where_nothing_is_known(
    site: Site, root: Path
) -> None:
    embed_small(root, "predicted")
    stored = predict_small(root, "predicted")
    values = stored.array("attention")
    answer = site.ask(stored, "map/attention.png")
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert picture.shape == (*values.shape, 4)
    assert np.array_equal(picture[..., 3] == 255, np.isfinite(values))


def test_a_volume_and_its_numbers_come_from_the_stored_values(
    tmp_path: Path, write_result: Any
) -> None:
    write_result(tmp_path)
    stored, site = ResultStore(tmp_path, "brain").read("scan-1"), Site(tmp_path)
    values = np.abs(stored.array("reconstruction"))
    answer = site.ask(stored, "volume/reconstruction.nii")
    drawn = nibabel.Nifti1Image.from_bytes(answer.body).get_fdata().transpose(2, 1, 0)
    # half a step of 16 bits
    assert np.allclose(drawn, values, atol=values.max() / 60_000)
    box = {"plane": 0, "top": 0.5, "left": 0.5, "bottom": 4.5, "right": 3.5, "shape": "rectangle"}
    numbers = json.loads(site.ask(stored, "region/reconstruction", **box).body)
    assert numbers["mean"] == pytest.approx(values[0, 1:5, 1:4].mean(dtype=np.float64))
    assert site.ask(stored, "region/reconstruction", plane="x").status == 400


def test_a_damaged_array_is_not_given_away(tmp_path: Path, write_result: Any) -> None:
    write_result(tmp_path)
    stored = ResultStore(tmp_path, "brain").read("scan-1")
    for file in (stored.folder.path / stored.record("reconstruction").path).rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.write_bytes(b"other bytes")
    answer = Site(tmp_path).ask(stored, "volume/reconstruction.nii")
    assert answer.status == 404
    assert str(tmp_path).encode() not in answer.body
