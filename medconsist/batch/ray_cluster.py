"""A Ray cluster: one of this process alone on the loopback interface, or one that is joined.

Token authentication is always on, and what Ray really did is looked at before anything runs there:
without a token, whoever reaches a port of Ray can run programs (CVE-2023-48022).
"""

import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

from medconsist._atomic import sweep
from medconsist._extras import require
from medconsist._writers import writer_tag
from medconsist.batch.sigterm import sigterm_as_ctrl_c
from medconsist.batch.variables import variables_set
from medconsist.errors import MedconsistError, RefusedInputError

__all__ = ["LOOPBACK", "RayPlace", "WorkerNeeds", "ray_cluster"]

LOOPBACK = "127.0.0.1"
OBJECT_STORE = 80 * 2**20  # bytes; cases travel as a few lines of JSON, and Ray asks for 75 MiB
_PREFIX = "mc-"
_LONGEST = 38  # of the temporary folder: a socket's path has 107 characters, and Ray adds 69
_QUIET = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of a default that will change
    # Ray writes of each lost worker to stdout, which is for the answer alone; we record it.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}
# Read when ray is imported: "0" lets every server of a local cluster listen on loopback alone.
# `_node_ip_address` does not: 2.60.0 turns 127.0.0.1 into the outer address, and listens on all.
_OUTSIDE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_HOST_PORT = re.compile(r"[^/]+:\d+")
_HEAD = "node:__internal_head__"  # a resource that the head of every cluster has
_ANSWER_S = 120.0  # what the head gets to start a process and answer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RayPlace:
    """Which cluster to use.

    Parameters
    ----------
    address
        ``host:port`` of a cluster to join from one of its nodes, or ``auto`` for the one that runs
        on this node; None starts a cluster that ends with the batch.
    bind
        Address of this node for a cluster that is started. With one that is not loopback Ray
        listens on every interface, and only the token guards it.

    Raises
    ------
    RefusedInputError
        Both are given, or one cannot be used.

    Examples
    --------
    >>> RayPlace().bind
    '127.0.0.1'
    """

    address: str | None = None
    bind: str = LOOPBACK

    def __post_init__(self) -> None:
        # Ray takes "local" for a cluster to start: open to all interfaces, past what is done here.
        if self.address not in (None, "auto") and not _HOST_PORT.fullmatch(self.address or ""):
            msg = (
                f"Ray's address must be HOST:PORT or auto, got {self.address!r}: the client "
                "protocol is not used here. Start the batch on a node of the cluster."
            )
            raise RefusedInputError(msg)
        try:
            ip_address(self.bind)
        except ValueError as error:
            msg = f"bind must be an IP address of this node such as {LOOPBACK}, got {self.bind!r}."
            raise RefusedInputError(msg) from error
        if self.address is not None and self.bind != LOOPBACK:
            msg = f"bind {self.bind} is for a cluster that is started; {self.address} is joined."
            raise RefusedInputError(msg)

    @property
    def is_private(self) -> bool:
        """Whether nothing but this machine can reach the cluster."""
        return self.address is None and ip_address(self.bind).is_loopback


@dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What each worker asks of its node.

    Parameters
    ----------
    cpus
        CPUs, one for each of its threads.
    gpus
        Share of a GPU.

    Examples
    --------
    >>> WorkerNeeds(gpus=0.5).cpus
    1
    """

    cpus: int = 1
    gpus: float | int = 0


@contextmanager
def ray_cluster(
    place: RayPlace | None = None, *, workers: int, needs: WorkerNeeds | None = None
) -> Iterator[ModuleType]:
    """Yield the module ``ray``, connected; leave nothing running or lying about at the end.

    Inside of another `ray_cluster` that one is used, and ends where it began.

    Parameters
    ----------
    place
        By default a new cluster on the loopback interface.
    workers
        How many a cluster that is started has CPUs for.
    needs
        Of each worker; by default one CPU.

    Raises
    ------
    RefusedInputError
        Ray is told to work without a token, no token is found for a cluster that is joined, that
        one asks for none, no node is large enough for a worker, or Ray was imported too early to be
        kept on the loopback interface.
    MedconsistError
        Ray does not start or answer.
    """
    place, needs = place or RayPlace(), needs or WorkerNeeds()
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode.lower() != "token":
        msg = f"RAY_AUTH_MODE is {mode!r}; a batch runs on Ray with a token only. Unset it."
        raise RefusedInputError(msg)
    with ExitStack() as stack:
        outside = {_OUTSIDE: "0"} if place.is_private else {}
        stack.enter_context(variables_set(_QUIET | outside))
        ray = require("ray", extra="ray")
        if not ray.is_initialized():
            stack.enter_context(_started(ray, place, workers=workers, needs=needs))
            stack.enter_context(sigterm_as_ctrl_c())
        _refuse_open(ray, place)
        _refuse_small(ray, needs)
        yield ray


@contextmanager
def _started(
    ray: ModuleType, place: RayPlace, *, workers: int, needs: WorkerNeeds
) -> Iterator[None]:
    with ExitStack() as stack:
        common: dict[str, Any] = {"configure_logging": False, "log_to_driver": False}
        if place.address is None:
            folder = stack.enter_context(_private_folder())
            stack.enter_context(variables_set(_token_in(folder)))
            common |= {
                "num_cpus": workers * needs.cpus,
                "num_gpus": None if needs.gpus else 0,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE,
                # Ray opens its own folder to every user here; the one around it stays shut.
                "_temp_dir": str(folder / "r"),
                "_node_ip_address": None if place.is_private else place.bind,
            }
        _use_token(ray, place)
        # On an error too: what has started by then would stay.
        stack.callback(ray.shutdown)
        try:
            with _sigterm_kept():
                ray.init(address=place.address or "local", **common)
        except (RuntimeError, OSError, ValueError, ray.exceptions.RayError) as error:
            where = "start" if place.address is None else f"answer at {place.address}"
            reason = " ".join(str(error).split())
            msg = f"Ray did not {where}: {reason}"
            raise MedconsistError(msg) from error
        yield


def _use_token(ray: ModuleType, place: RayPlace) -> None:
    """Make Ray read its mode and token again: it keeps what it saw when it was imported."""
    raylet = require("ray._raylet", extra="ray")
    raylet.Config.initialize("")
    loader = raylet.AuthenticationTokenLoader.instance()
    loader.reset_cache()
    try:
        found = loader.has_token(ignore_auth_mode=True)
    except ray.exceptions.AuthenticationError as error:
        msg = " ".join(str(error).split())  # RAY_AUTH_TOKEN_PATH names no file of a token
        raise RefusedInputError(msg) from error
    if not found:
        msg = (
            f"No token for the Ray cluster at {place.address}: set RAY_AUTH_TOKEN_PATH to the file "
            "of that cluster's token, or put it at ~/.ray/auth_token (see docs/batch.md)."
        )
        raise RefusedInputError(msg)


def _refuse_open(ray: ModuleType, place: RayPlace) -> None:
    """Look at what Ray did: token mode here, and loopback where that was asked for."""
    raylet = require("ray._raylet", extra="ray")
    if raylet.get_authentication_mode() != raylet.AuthenticationMode.TOKEN:
        msg = "Ray runs in this process without a token; start the batch in a new process."
        raise RefusedInputError(msg)
    if place.address is not None:
        _refuse_open_head(ray, place.address)
    address = ray.util.get_node_ip_address()
    if place.is_private and not ip_address(address).is_loopback:
        msg = (
            f"Ray listens at {address} and not on loopback alone: it was imported before this "
            f"batch. Start the batch in a new process, or set {_OUTSIDE}=0 first."
        )
        raise RefusedInputError(msg)


def _refuse_open_head(ray: ModuleType, address: str) -> None:
    """Ask the head of a joined cluster: one without tokens takes those too who bring one.

    The other nodes need not be asked: they could not join a head in token mode without one.
    """
    options = {"num_cpus": 0, "resources": {_HEAD: 0.001}, "max_retries": 0}
    try:
        guarded = ray.get(
            ray.remote(_asks_for_tokens).options(**options).remote(), timeout=_ANSWER_S
        )
    except ray.exceptions.RayError as error:
        said = " ".join(str(error).split())
        msg = f"The head of the Ray cluster at {address} does not say whether it is guarded: {said}"
        raise MedconsistError(msg) from error
    if not guarded:
        msg = (
            f"The Ray cluster at {address} also runs the programs of those who have no token. "
            "Start all of its nodes with RAY_AUTH_MODE=token (see docs/batch.md)."
        )
        raise RefusedInputError(msg)


def _asks_for_tokens() -> bool:
    """Say whether Ray asks for tokens on the node where this runs."""
    raylet = require("ray._raylet", extra="ray")
    return bool(raylet.get_authentication_mode() == raylet.AuthenticationMode.TOKEN)


def _refuse_small(ray: ModuleType, needs: WorkerNeeds) -> None:
    """Look for a node on which a worker fits: Ray would wait for one for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    asked = {"CPU": needs.cpus, "GPU": needs.gpus}
    if not any(all(node.get(name, 0) >= of for name, of in asked.items()) for node in nodes):
        msg = (
            f"No node that Ray sees has the {needs.cpus} CPU and {needs.gpus:g} of a GPU that each "
            "worker asks for. Ask for less by --threads, or leave out the GPUs."
        )
        raise RefusedInputError(msg)


def _token_in(folder: Path) -> dict[str, str]:
    """Return where the token lies: a new one in ``folder``, unless the user has one."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return {}
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    return {"RAY_AUTH_TOKEN_PATH": str(path)}


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a new folder with a short name that only this user can enter."""
    name = f"{_PREFIX}{writer_tag()}"
    usual = Path(tempfile.gettempdir())
    parent = usual if len(str(usual / name / "r")) <= _LONGEST else Path("/tmp")  # noqa: S108  private below
    sweep(parent, f"{_PREFIX}*")  # of drivers that were killed
    folder = parent / name
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Give back the handler of SIGTERM, which Ray replaces by one that leaves no report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
