"""Forty readers at once, and ten minutes of reading: no error, and no memory that grows."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from medconsist.results.store import studies
from medconsist.viewing.serving import free_port, started
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.worklist_index import CaseIndex
from tests.viewing.signals import predict_signals
from tests.viewing.slides import embed_small

READERS, RUNS = 40, 3
SOAK_S, WARM_S = 600, 120
MIB = 1 << 20
RUN_S = 120  # forty at once wait for each other


@dataclass(frozen=True)
class Site:
    """A viewer that runs, and what it shows."""

    port: int
    pid: int
    log: Path
    links: tuple[str, ...]

    def resident(self) -> int:
        """Bytes of memory of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def site(write_result: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("many")
    root = folder / "results"
    for number in range(4):
        write_result(root, f"scan-{number}")
    embed_small(root)
    predict_signals(folder)
    lines = CaseIndex(root).lines(studies(root))
    log, port = folder / "log.txt", free_port()
    links = ("", *(f"study={line.study}&case={line.case}" for line in lines))
    with started(ViewerSettings(results=root), log, port=port) as server:
        yield Site(port, server.pid, log, links)


async def run_once(channel: ClientConnection, link: str) -> int:
    """Run the page as a browser asks for it; return how many elements it sent."""
    message = BackMsg()
    message.rerun_script.query_string = link
    await channel.send(message.SerializeToString())
    elements = 0
    async with asyncio.timeout(RUN_S):
        async for data in channel:
            told = ForwardMsg()
            told.ParseFromString(bytes(data))  # type: ignore[arg-type]  # the channel is binary
            if told.WhichOneof("type") == "delta":
                elements += 1
                assert told.delta.new_element.WhichOneof("type") != "exception"
            if told.WhichOneof("type") == "script_finished":
                assert told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
                return elements
    msg = "the channel was closed before the page was whole"
    raise AssertionError(msg)


async def reader(site: Site, number: int, runs: int) -> list[int]:
    address = f"ws://127.0.0.1:{site.port}/_stcore/stream"
    async with connect(
        address,
        subprotocols=[Subprotocol("streamlit")],
        max_size=64 * MIB,
    ) as channel:
        ask = (site.links[(number + n) % len(site.links)] for n in range(runs))
        return [await run_once(channel, link) for link in ask]


async def readers(site: Site, count: int, runs: int) -> list[list[int]]:
    return await asyncio.gather(*(reader(site, number, runs) for number in range(count)))


@pytest.mark.slow
def test_forty_readers_at_once_are_all_served(site: Site) -> None:
    found = asyncio.run(readers(site, READERS, RUNS))
    assert len(found) == READERS
    assert all(len(one) == RUNS and min(one) > 0 for one in found)
    assert "Traceback" not in site.log.read_text()


@pytest.mark.slow
def test_memory_does_not_grow_in_ten_minutes_of_reading(site: Site) -> None:
    seconds, bytes_held = list[float](), list[int]()
    start = time.monotonic()
    while (now := time.monotonic() - start) < WARM_S + SOAK_S:
        asyncio.run(readers(site, 4, len(site.links)))
        if now > WARM_S:
            seconds.append(now)
            bytes_held.append(site.resident())
    slope = float(np.polyfit(seconds, bytes_held, 1)[0]) * 60 / MIB
    assert slope < 1, f"{slope:.2f} MiB a minute over {len(seconds)} rounds"
    assert "Traceback" not in site.log.read_text()
