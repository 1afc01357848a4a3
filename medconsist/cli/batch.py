"""``medconsist batch``: status, report, retry."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

import medconsist

__all__ = ["Batch", "Report", "Retry", "Status"]


@dataclass(frozen=True, kw_only=True)
class _OfStudy:
    """Which batch, and how to say it."""

    results: Annotated[Positional[Path], arg(metavar="RESULTS")]
    """Folder of results, as given to --out."""
    study: str
    """Study, as given to --study."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False


@dataclass(frozen=True, kw_only=True)
class Status(_OfStudy):
    """Say how the last batch of a study stands, also while it runs.

    Done is what has a result, not what some list says. Exit code 0 if all are done, else 3.
    Results that --verify finds damaged: medconsist batch retry ... --verify.
    """

    verify: Annotated[bool, arg(help="Also read every byte of every result.")] = False

    def run(self) -> int:
        """Look and print."""
        from medconsist.batch.status import study_status

        status = study_status(self.results, self.study, verify=self.verify)
        said = status.model_dump(mode="json") | {"counts": status.counts}
        sys.stdout.write((json.dumps(said) if self.json else status.text) + "\n")
        return status.exit_code


@dataclass(frozen=True, kw_only=True)
class Report(_OfStudy):
    """Print the report that the last batch of a study left, and where its page is."""

    def run(self) -> int:
        """Read and print; the exit code is that of the batch."""
        from medconsist.batch.report import read_report
        from medconsist.batch.states import batch_folder

        folder = batch_folder(self.results, self.study)
        report = read_report(folder)
        paths = {"html": str(folder / "report.html"), "report": str(folder / "report.json")}
        said = report.model_dump(mode="json") | {"counts": report.counts, **paths}
        text = "\n".join((medconsist.RESEARCH_USE_ONLY, "", report.text, "", *paths.values()))
        sys.stdout.write((json.dumps(said) if self.json else text) + "\n")
        return report.exit_code


@dataclass(frozen=True, kw_only=True)
class Retry(_OfStudy):
    """Forget failures of a study, so that the next run of the same command tries these cases.

    Results of theirs that are not as they were written are set aside, under a hidden name in the
    folder of the case, and made again; others stay.
    """

    reason: Annotated[tuple[str, ...], arg(metavar="REASON")] = ()
    """Only failures of these classes, e.g. 'out of memory'."""
    case: Annotated[tuple[str, ...], arg(metavar="CASE")] = ()
    """Only these cases of the study; their results are looked at also where none has failed."""
    verify: Annotated[bool, arg(help="Look at every byte of the results of all cases.")] = False

    def run(self) -> int:
        """Forget, set aside, and print one case a line."""
        from medconsist.batch.retry import prepare_retry

        retried = prepare_retry(
            self.results,
            self.study,
            reasons=self.reason,
            cases=self.case,
            verify=self.verify,
        )
        said = [*retried.cases, *(f"{place}: damaged, set aside" for place in retried.set_aside)]
        said.append(
            f"{len(retried.cases)} failures forgotten, {len(retried.set_aside)} damaged results "
            "set aside; now run the same command again."
        )
        text = json.dumps(asdict(retried)) if self.json else "\n".join(said)
        sys.stdout.write(f"{text}\n")
        return 0


@dataclass(frozen=True)
class Batch:
    """Batches over many cases: status, report, retry."""

    verb: (
        Annotated[Status, subcommand("status", prefix_name=False)]
        | Annotated[Report, subcommand("report", prefix_name=False)]
        | Annotated[Retry, subcommand("retry", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()
