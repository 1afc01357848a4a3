"""The commands; one dataclass each. Importing this room imports nothing heavy."""

import errno
import logging
import os
import sys
from typing import Annotated

from medconsist.cli.batch import Batch
from medconsist.cli.bench import Bench
from medconsist.cli.demo import Demo
from medconsist.cli.manifest import Manifest
from medconsist.cli.mri import Mri
from medconsist.cli.review import Review
from medconsist.cli.timeseries import Ts
from medconsist.cli.view import View
from medconsist.cli.wsi import Wsi
from medconsist.errors import MedconsistError

__all__ = ["main"]

DESCRIPTION = """K-space, slides and signals to reviewed results, with the evidence for each case.

Research use only, not for diagnosis.

Exit codes: 0 ok, 1 failed, 2 usage or refused input, 3 partial, 4 audit found a leak."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    import tyro
    from tyro.conf import subcommand

    command_type = (
        Annotated[Mri, subcommand("mri")]
        | Annotated[Wsi, subcommand("wsi")]
        | Annotated[Ts, subcommand("ts")]
        | Annotated[Manifest, subcommand("manifest")]
        | Annotated[Batch, subcommand("batch")]
        | Annotated[Review, subcommand("review")]
        | Annotated[Demo, subcommand("demo")]
        | Annotated[View, subcommand("view")]
        | Annotated[Bench, subcommand("bench")]
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        command = tyro.cli(
            command_type,
            prog="medconsist",
            description=DESCRIPTION,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
        return command.run()
    except MedconsistError as error:
        _say(str(error))
        return error.exit_code
    except OSError as error:
        _say(_storage_sentence(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted; nothing half-written is left.")
        return 130


def _say(sentence: str) -> None:
    sys.stderr.write(f"medconsist: {' '.join(sentence.split())}\n")


def _storage_sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        place = error.filename or os.getcwd()  # noqa: PTH109  the folder may be gone: no Path.cwd()
        return f"no space left to write {place}; free some space and run the same command again."
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
