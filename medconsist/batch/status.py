"""How a study stands: asked of the results themselves, of the failures and of the driver."""

from collections import Counter
from pathlib import Path

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record
from medconsist.batch.damaged import is_damaged
from medconsist.batch.driver import Heartbeat, driver_lives, read_heartbeat
from medconsist.batch.plan import PlannedCase, read_plan
from medconsist.batch.report import read_report
from medconsist.batch.states import Failure, FailureFolder, State, batch_folder
from medconsist.errors import MissingInputError
from medconsist.results.cases import finished_results
from medconsist.results.store import ResultStore

__all__ = ["Status", "study_status"]


class Status(Record):
    """The state of every case of the last batch of a study.

    Parameters
    ----------
    study
        Which.
    states
        Id to state.
    keys
        Id to key of the result, for those that are done.
    failures
        Of the cases that failed or were set aside.
    driver
        What the last driver said last, None if it never did.
    alive
        Whether it is at work now.
    damaged
        Ids of cases with a result that is not as it was written, where each byte was looked at.

    Examples
    --------
    >>> status = Status(study="s", states={"a": State.DONE}, keys={}, failures=(), driver=None,
    ...                 alive=False)
    >>> status.counts["done"], status.exit_code
    (1, 0)
    """

    study: str
    states: dict[str, State]
    keys: dict[str, str]
    failures: tuple[Failure, ...]
    driver: Heartbeat | None
    alive: bool
    damaged: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many cases are in which state."""
        counted = Counter(self.states.values())
        return {state.value: counted[state] for state in State}

    @property
    def exit_code(self) -> int:
        """0 if every case is done, else 3."""
        return 0 if self.counts["done"] == len(self.states) else 3

    @property
    def text(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        lines = [f"{len(self.states)} cases of study {self.study}: {counts}."]
        if self.driver is not None:
            who = f"process {self.driver.pid} on {self.driver.host}, engine {self.driver.engine}"
            last = self.driver.time.isoformat(timespec="seconds")
            if self.alive:
                lines.append(f"At work ({who}, heard of {last}): {self.driver.progress.text}.")
            elif self.driver.state == "running":
                lines.append(f"The driver ({who}) was ended; last heard of {last}. Run it again.")
        lines += [one.line for one in self.failures]
        lines += [f"{case}: its result is damaged" for case in self.damaged]
        if self.damaged:
            lines.append("Set damaged results aside by: medconsist batch retry ... --verify.")
        return "\n".join(lines)


def study_status(root: Path, study: str, *, verify: bool = False) -> Status:
    """Return how the last batch of a study stands.

    Done is what has a result of that case, item and configuration. Whether the input is still the
    file that it was made from is not asked here, as that would read every input; a rerun asks.

    Parameters
    ----------
    root, study
        Of the results.
    verify
        Also compare every byte of every result with its sha256.

    Raises
    ------
    MissingInputError
        No batch has run on this study.
    """
    folder = batch_folder(root, study)
    plan = read_plan(folder)
    results = _Results(ResultStore(root, study), _reported(folder))
    heartbeat, alive = read_heartbeat(folder), driver_lives(folder)
    running = set(heartbeat.progress.running) if heartbeat is not None and alive else set[str]()
    records = FailureFolder(folder)
    states, keys, failures = dict[str, State](), dict[str, str](), list[Failure]()
    damaged = list[str]()
    for case in plan.cases:
        key = results.key_of(case)
        if key is not None and verify and is_damaged(results.store, case.case, key):
            damaged.append(case.id)
            key = None
        failure = records.read(case.id)
        if failure is not None and failure.digest != case.digest:
            failure = None
        states[case.id] = _state(
            is_done=key is not None, is_running=case.id in running, failure=failure
        )
        if key is not None:
            keys[case.id] = key
        elif failure is not None:
            failures.append(failure)
    return Status(
        study=study,
        states=states,
        keys=keys,
        failures=tuple(failures),
        driver=heartbeat,
        alive=alive,
        damaged=tuple(damaged),
    )


def _state(*, is_done: bool, is_running: bool, failure: Failure | None) -> State:
    if is_done:
        return State.DONE
    if is_running:
        return State.RUNNING
    return State.PENDING if failure is None else State(failure.state)


def _reported(folder: Path) -> dict[str, str]:
    try:
        return {one.case: one.key for one in read_report(folder).results}
    except MissingInputError:
        return {}


class _Results:
    """Results of a study by what a plan knows of them; each case folder is read once."""

    def __init__(self, store: ResultStore, reported: dict[str, str]) -> None:
        self.store = store
        self._reported = reported
        self._known: dict[str, dict[tuple[str | None, str], str]] = {}

    def key_of(self, case: PlannedCase) -> str | None:
        known = self._of(case.case)
        key = known.get((case.item, case.config_sha256))
        if key is not None:
            return key
        # Made under another item, e.g. before a manifest named one: a driver has found it.
        reported = self._reported.get(case.id)
        mine = {key for (_, config), key in known.items() if config == case.config_sha256}
        return reported if reported in mine else None

    def _of(self, case: str) -> dict[tuple[str | None, str], str]:
        if case not in self._known:
            self._known[case] = {
                (result.item, sha256_of_bytes(canonical_json(result.config))): result.key
                for result in finished_results(self.store, case)
            }
        return self._known[case]
