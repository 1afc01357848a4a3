"""Ray: never without a token, never beyond loopback, and nothing left when it is over."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medconsist.batch import ray_engine
from medconsist.batch.attempt import Station
from medconsist.batch.engine import Event, Limits
from medconsist.batch.ray_cluster import RayPlace, ray_cluster
from medconsist.batch.ray_engine import RayEngine, _Crew
from medconsist.errors import RefusedInputError
from tests.batch.conftest import Told
from tests.batch.toy import Toy, ToyWorker, case_of, cases_in, runs

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
LISTEN = "0A"  # of /proc/net/tcp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "batch").mkdir()
    return tmp_path / "batch"


def processes_of(folder: str) -> list[int]:
    """Return the processes that know the private folder of a cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            known = path.read_bytes() + path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if folder.encode() in known and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def listening(pids: list[int]) -> Iterator[str]:
    """Yield the addresses at which processes listen, as the kernel writes them."""
    sockets = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(path.readlink()))
            except OSError:
                continue
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in sockets:
                yield fields[1].split(":")[0]


def is_loopback(address: str) -> bool:
    """Say whether an address of the kernel is one of this machine to itself."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    last = socket.inet_ntoa(words[-1])
    return last.startswith("127.") or b"".join(words) == bytes(15) + b"\1"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A driver whose cluster has lost a worker and whose last case hangs."""
    command = [sys.executable, "-m", "tests.batch.drive_ray", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 90
            while not (tmp_path / "ready").exists() and time.monotonic() < until:
                assert process.poll() is None
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_a_cluster_listens_on_loopback_alone_has_a_token_and_leaves_nothing_when_killed(
    driver: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    token = Path((tmp_path / "token").read_text())
    addresses = set(listening(processes_of(str(token.parent))))
    assert addresses
    assert all(map(is_loopback, addresses))
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700
    os.kill(driver.pid, signal.SIGKILL)
    out, _ = driver.communicate()
    assert out == b""  # also of the worker that was lost
    until = time.monotonic() + 120  # three seconds on a quiet machine
    while processes_of(str(token.parent)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not processes_of(str(token.parent))


def test_an_error_in_the_driver_ends_the_workers_and_the_next_run_is_served(
    ray_of_module: None, folder: Path, tmp_path: Path
) -> None:
    def refuse(event: Event) -> None:
        if event.kind == "done":
            msg = f"no more after {event.case}"
            raise KeyboardInterrupt(msg)

    told, cases = Told(), cases_in(tmp_path / "in", 6)
    with pytest.raises(KeyboardInterrupt, match="no more after toy-"):
        RayEngine(workers=2).run(
            Toy(tmp_path), cases, folder=folder, report=refuse, limits=Limits()
        )
    RayEngine(workers=2).run(Toy(tmp_path), cases, folder=folder, report=told, limits=Limits())
    assert sorted(told.of("done", "found")) == [case.id for case in cases]


def test_a_worker_keeps_its_model_between_cases(
    ray_of_module: None, folder: Path, tmp_path: Path
) -> None:
    cases = cases_in(tmp_path / "in", 12)
    RayEngine(workers=2).run(Toy(tmp_path), cases, folder=folder, report=Told(), limits=Limits())
    assert len(runs(tmp_path)) == 12
    pids = {line.split()[1] for line in (tmp_path / "runs.log").read_text().splitlines()}
    assert len(pids) <= 2


def test_an_answer_that_comes_with_the_end_of_its_time_counts(
    ray_of_module: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, whole = list[str](), _Crew._end_hanging

    def end_late(crew: _Crew) -> None:
        for reference, seat in crew._asked.items():
            if seat.case is not None and not late:
                crew._ray.wait([reference])
                seat.since = -1e9
                late.append(seat.case.id)
        whole(crew)

    monkeypatch.setattr(_Crew, "_end_hanging", end_late)
    told, cases = Told(), cases_in(tmp_path / "in", 2)
    RayEngine().run(
        Toy(tmp_path, seconds=1.0),
        cases,
        folder=folder,
        report=told,
        limits=Limits(case_seconds=300),
    )
    assert late
    assert sorted(told.of("done")) == [case.id for case in cases]
    assert not told.of("failed")


def test_after_an_error_on_a_gpu_its_worker_is_replaced(
    ray_of_module: None, folder: Path, tmp_path: Path
) -> None:
    files = tmp_path / "in"
    told = Told()
    cases = cases_in(files, 3)
    cases.insert(0, case_of(files, 9, fault="failed", once=str(tmp_path / "once")))
    with ray_cluster(workers=2) as ray:
        crew = _Crew(
            ray,
            lambda: ray.remote(Station).remote(Toy(tmp_path), folder=folder),
            cases,
            folder=folder,
            limits=Limits(),
            report=told,
            on_gpu=True,
        )
        try:
            crew.hire(1)
            crew.run()
        finally:
            crew.close()
    first, *others = (line.split()[1] for line in (tmp_path / "runs.log").read_text().splitlines())
    assert len(others) == 4
    assert first not in others
    assert len(set(others)) == 1


class CrashesAtStart(Toy):
    """A work that ends the process which unpacks it."""

    def __setstate__(self, state: dict[str, object]) -> None:
        os._exit(7)


def test_workers_that_crash_at_their_start_end_the_batch(
    ray_of_module: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "_BARREN", 2)
    told, cases = Told(), cases_in(tmp_path / "in", 2)
    work = CrashesAtStart(tmp_path)
    RayEngine().run(work, cases, folder=folder, report=told, limits=Limits())
    (event,) = told.events
    assert (event.kind, event.exit_code) == ("stopped", 1)
    assert "ended before they took a case (3 in a row)" in event.sentence


class ShowsThreads(Toy):
    """A work whose worker writes down how many threads it may take."""

    def open(self, device: str) -> ToyWorker:
        said = [os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]]
        (self.root / "threads").write_text(" ".join(said))
        return super().open(device)


def test_a_number_of_threads_reaches_the_workers(
    ray_of_module: None, folder: Path, tmp_path: Path
) -> None:
    told, cases = Told(), cases_in(tmp_path / "in", 1)
    work = ShowsThreads(tmp_path)
    RayEngine(threads=2).run(work, cases, folder=folder, report=told, limits=Limits())
    assert told.of("done") == [case.id for case in cases]
    assert (tmp_path / "threads").read_text() == "2 2"


def test_gpus_that_ray_does_not_see_are_refused(
    ray_of_module: None, folder: Path, tmp_path: Path
) -> None:
    cases = cases_in(tmp_path / "in", 1)
    with pytest.raises(RefusedInputError, match=r"the 1 CPU and 0\.5 of a GPU that each"):
        RayEngine(workers=2, gpus=0.5).run(
            Toy(tmp_path), cases, folder=folder, report=Told(), limits=Limits()
        )


def test_ray_without_a_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with (
        pytest.raises(RefusedInputError, match="RAY_AUTH_MODE is 'disabled'"),
        ray_cluster(workers=1),
    ):
        pass


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "No token for the Ray cluster at 127.0.0.1:9"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "RefusedInputError: RAY_AUTH_TOKEN_PATH is set but"),
    ],
)
def test_joining_without_a_token_is_refused_before_anything_is_sent(
    tmp_path: Path, where: dict[str, str], said: str
) -> None:
    script = (
        "from medconsist.batch.ray_cluster import *\n"
        "with ray_cluster(RayPlace(address='127.0.0.1:9'), workers=1): pass"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", script]
    told = subprocess.run(
        command,
        env={**kept, **where, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in told.stderr


HEAD = """
import sys
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=80 * 2**20,
         _temp_dir=sys.argv[1], configure_logging=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("mode", "said"), [("token", ""), ("disabled", "runs the programs of those who have no token")]
)
def test_a_cluster_is_joined_only_if_it_asks_for_tokens_itself(mode: str, said: str) -> None:
    known = os.environ | {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the head of this test listens on loopback too
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (
        # The path of a socket in there must be short.
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as short,
        subprocess.Popen(
            [sys.executable, "-c", HEAD, short],
            env=known | {"RAY_AUTH_MODE": mode},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as head,
    ):
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        script = (
            "from medconsist.batch.ray_cluster import *\n"
            f"with ray_cluster(RayPlace(address={address!r}), workers=1): print('joined')"
        )
        joining = [sys.executable, "-c", script]
        told = subprocess.run(joining, env=known, capture_output=True, text=True, check=False)
        head.communicate("")
    assert (told.stdout == "joined\n") == (not said)
    assert said in told.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"address": "ray://head:10001"}, "must be HOST:PORT or auto"),
        ({"address": "local"}, "must be HOST:PORT or auto"),
        ({"address": ""}, "must be HOST:PORT or auto"),
        ({"bind": "head"}, "must be an IP address of this node"),
        ({"address": "head:6379", "bind": "10.0.0.5"}, "is for a cluster that is started"),
    ],
)
def test_places_that_cannot_be_used_are_refused(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        RayPlace(**wrong)


@pytest.mark.parametrize("gpus", [-1, 1.5])
def test_shares_of_a_gpu_that_ray_does_not_know_are_refused(gpus: float) -> None:
    with pytest.raises(RefusedInputError, match="a share of one, such as"):
        RayEngine(gpus=gpus)
