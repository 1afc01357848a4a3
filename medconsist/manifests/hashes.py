"""Compare the files of a manifest with the sha256 that it names."""

import logging
from collections.abc import Iterator

from medconsist._digests import sha256_of_path
from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.problem import Problem, problem_at

__all__ = ["hash_problems"]

logger = logging.getLogger(__name__)


def hash_problems(manifest: CaseManifest) -> Iterator[Problem]:
    """Yield one problem for each file whose bytes are not those that the manifest names.

    Rows without a sha256 are not compared. Of a format of several files only the named one is.
    """
    named = [row for row in manifest.rows if row.sha256 is not None]
    logger.info("comparing %d of %d files with their sha256", len(named), len(manifest.rows))
    for row in named:
        try:
            digest = sha256_of_path(row.path.resolve())
        except OSError as error:
            yield problem_at(
                row.row, "path", f"{row.path} cannot be read: {error.strerror or error}."
            )
            continue
        if digest != row.sha256:
            fault = f"{row.path} has the sha256 {digest}; it is another file, or was changed."
            yield problem_at(row.row, "sha256", fault)
