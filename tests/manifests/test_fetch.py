"""Fetching from a server on loopback that breaks off, changes its file and forgets ranges."""

import fcntl
import hashlib
import json
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from medconsist.cli import main
from medconsist.errors import CorruptInputError, MedconsistError, RefusedInputError, StorageError
from medconsist.manifests.dataset import DatasetFile
from medconsist.manifests.fetch import Fetched, FetchLimits, fetch_files

SIZE = 3 * 2**20 + 17
DATA, OTHER = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))  # noqa: S311  no secret
QUICK = FetchLimits(attempts=3, wait_s=0, timeout_s=5, spare_bytes=0)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    data: bytes = DATA
    etag: str | None = '"one"'
    cuts: list[int] = field(default_factory=list)  # bytes of the next answers
    codes: list[int] = field(default_factory=list)  # of the next answers
    ranges: bool = True
    always_cut: int | None = None
    lengths: bool = True
    change: bytes | None = None  # the file after its first answer
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    elsewhere: str | None = None  # where it sends everybody
    says: str = ""  # instead of the length
    url: str = ""

    def file(self, path: str = "a.bin", **words: Any) -> DatasetFile:
        known = {"sha256": hashlib.sha256(DATA).hexdigest(), "bytes": SIZE}
        return DatasetFile(path=path, url=f"{self.url}/{path}", **{**known, **words})

    def fetch(self, out: Path, *files: DatasetFile, **words: Any) -> list[Fetched]:
        return fetch_files(files or (self.file(),), out, limits=words.get("limits", QUICK))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        state = self.state
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        state.asked.append((wanted, condition))
        if state.codes and (code := state.codes.pop(0)) != 200:
            self.send_error(code)
            return
        begin = int(wanted[6:-1]) if wanted and state.ranges else 0
        if condition is not None and condition != state.etag:
            begin = 0
        if begin >= len(state.data):
            self.send_error(416)
            return
        body = state.data[begin:]
        if state.elsewhere is not None:
            self.send_response(302)
            self.send_header("Location", state.elsewhere)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            whole = len(state.data)
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        if state.lengths:
            self.send_header("Content-Length", state.says or str(len(body)))
        if state.etag is not None:
            self.send_header("ETag", state.etag)
        self.send_header("Connection", "close")
        self.end_headers()
        cut = state.cuts.pop(0) if state.cuts else state.always_cut
        self.wfile.write(body[:cut])
        self.close_connection = True
        if state.change is not None:
            state.data, state.change = state.change, None
            state.etag = state.etag and '"two"'

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server()
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


def test_files_come_whole_and_are_not_fetched_again(server: Server, tmp_path: Path) -> None:
    files = (server.file("a.bin"), server.file("deep/b.bin", bytes=None))
    first = server.fetch(tmp_path, *files)
    again = server.fetch(tmp_path, *files)
    assert [one.fresh for one in first] == [True, True]
    assert [one.fresh for one in again] == [False, False]
    assert all(one.path.read_bytes() == DATA for one in first)
    assert len(server.asked) == 2
    assert hidden(tmp_path) == hidden(tmp_path / "deep") == []


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [2**20, 2**20, 5]
    (one,) = server.fetch(tmp_path)
    assert one.path.read_bytes() == DATA
    assert server.asked[:3] == [
        (None, None),
        (f"bytes={2**20}-", '"one"'),
        (f"bytes={2**21}-", '"one"'),
    ]
    assert len(server.asked) == 4


def test_a_transfer_that_was_given_up_goes_on_in_the_next_call(
    server: Server, tmp_path: Path
) -> None:
    server.cuts = [2**20]
    server.codes = [200, 503, 503, 503]
    with pytest.raises(MedconsistError, match=r"3 times in a row: the server says 503.*kept"):
        server.fetch(tmp_path)
    assert not (tmp_path / "a.bin").exists()
    server.fetch(tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert server.asked[-1] == (f"bytes={2**20}-", '"one"')


def test_a_server_that_is_not_there_is_asked_a_bounded_number_of_times(tmp_path: Path) -> None:
    gone = DatasetFile(path="a.bin", url="http://127.0.0.1:9/a.bin", sha256="0" * 64)
    with pytest.raises(MedconsistError, match="broke off 3 times in a row: URLError"):
        fetch_files([gone], tmp_path, limits=QUICK)


def test_a_file_that_changes_in_between_is_fetched_from_its_start(
    server: Server, tmp_path: Path
) -> None:
    server.data, server.change, server.cuts = OTHER, DATA, [2**20]
    (one,) = server.fetch(tmp_path)
    assert one.path.read_bytes() == DATA
    assert server.asked[1] == (f"bytes={2**20}-", '"one"')


def test_parts_of_two_files_are_not_taken_for_one_where_the_server_names_none(
    server: Server, tmp_path: Path
) -> None:
    server.etag, server.data, server.change, server.cuts = None, OTHER, DATA, [2**20]
    (one,) = server.fetch(tmp_path)
    assert one.path.read_bytes() == DATA
    assert server.asked == [(None, None), (f"bytes={2**20}-", None), (None, None)]


def test_a_server_that_ignores_ranges_sends_the_whole_file_again(
    server: Server, tmp_path: Path
) -> None:
    server.ranges, server.cuts = False, [2**20, 2**19]
    (one,) = server.fetch(tmp_path)
    assert one.path.read_bytes() == DATA


def test_one_that_ignores_ranges_and_always_breaks_off_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    server.ranges, server.always_cut = False, 2**20
    with pytest.raises(MedconsistError, match="broke off 3 times in a row"):
        server.fetch(tmp_path)
    assert len(server.asked) == 4


def test_wrong_bytes_are_set_aside_and_refused(server: Server, tmp_path: Path) -> None:
    server.data = OTHER
    with pytest.raises(CorruptInputError, match="its digest is another one"):
        server.fetch(tmp_path)
    (aside,) = tmp_path.glob(".a.bin.mismatch-*")
    assert aside.read_bytes() == OTHER
    assert not (tmp_path / "a.bin").exists()
    assert hidden(tmp_path) == [aside.name]


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_of_another_size_is_refused_before_it_fills_the_disk(
    lengths: bool, server: Server, tmp_path: Path
) -> None:
    server.data, server.lengths = DATA + b"more", lengths
    with pytest.raises(CorruptInputError, match="another file"):
        server.fetch(tmp_path)
    assert not (tmp_path / "a.bin").exists()


def test_a_part_that_is_longer_than_the_file_begins_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".a.bin.part").write_bytes(DATA + b"more")
    record = {"url": f"{server.url}/a.bin", "validator": None}
    (tmp_path / ".a.bin.part.json").write_text(json.dumps(record))
    (one,) = server.fetch(tmp_path)
    assert one.path.read_bytes() == DATA


def test_an_md5_serves_where_there_is_no_other(server: Server, tmp_path: Path) -> None:
    right = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    server.fetch(tmp_path, server.file(sha256=None, md5=right))
    with pytest.raises(RefusedInputError, match="neither sha256 nor md5"):
        server.fetch(tmp_path, server.file("b.bin", sha256=None))


def test_a_file_that_is_there_and_is_another_one_stays(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(CorruptInputError, match="move it away"):
        server.fetch(tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"
    assert server.asked == []


def test_two_processes_do_not_fetch_one_file(server: Server, tmp_path: Path) -> None:
    with (tmp_path / ".a.bin.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RefusedInputError, match="another process fetches"):
            server.fetch(tmp_path)
    assert server.asked == []


def test_a_disk_without_room_is_refused_before_anything_is_asked(
    server: Server, tmp_path: Path
) -> None:
    much = 2 * shutil.disk_usage(tmp_path).total
    with pytest.raises(StorageError, match="GB are to come"):
        server.fetch(tmp_path, server.file(bytes=much))
    assert server.asked == []


def test_a_stream_without_end_leaves_the_space_that_is_to_be_left(
    server: Server, tmp_path: Path
) -> None:
    server.lengths = False
    spare = FetchLimits(wait_s=0, spare_bytes=2 * shutil.disk_usage(tmp_path).total)
    with pytest.raises(StorageError, match="shall be left"):
        server.fetch(tmp_path, server.file(bytes=None), limits=spare)


def test_nothing_but_the_web_is_read_wherever_the_server_sends_to(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    server.elsewhere = f"file://{tmp_path}/secret"
    with pytest.raises(RefusedInputError, match="the server says 302"):
        server.fetch(tmp_path)
    assert not (tmp_path / "a.bin").exists()


def test_a_length_of_thousands_of_digits_is_no_length(server: Server, tmp_path: Path) -> None:
    server.says = "9" * 5000
    server.fetch(tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize("code", [403, 404])
def test_what_the_server_refuses_is_not_asked_again(
    code: int, server: Server, tmp_path: Path
) -> None:
    server.codes = [code]
    with pytest.raises(RefusedInputError, match=f"the server says {code}"):
        server.fetch(tmp_path)
    assert len(server.asked) == 1


def test_files_of_a_data_manifest_are_fetched_by_command(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "mine.toml"
    file = server.file()
    manifest.write_text(
        'name = "mine"\ntitle = "Mine"\npage = "https://example.org"\nhow = "fetch"\n'
        'license = "CC0"\ncitation = ""\nslides = ["*.bin"]\npatients = "named"\n'
        f"patient_from = '(?P<patient>\\w+)'\n[[files]]\npath = \"a.bin\"\n"
        f'url = "{file.url}"\nsha256 = "{file.sha256}"\n'
    )
    out = tmp_path / "out"
    words = ["manifest", "fetch", str(manifest), "--out", str(out), "--spare-gib", "0"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"paths": [str(out / "a.bin")], "fresh": 1, "license": "CC0"}
    assert main(words) == 0
    assert "1 files, 0 fetched now. CC0." in capsys.readouterr().out


def test_a_data_set_without_a_list_says_how_it_is_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["manifest", "fetch", "panda", "--out", str(tmp_path / "out")]) == 2
    assert "accept the rules on the page" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["manifest", "datasets", "panda", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["panda"]["patients"] == "unknown"
