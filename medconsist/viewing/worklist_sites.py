"""Sites of the cases of a study, from the manifest that lies beside them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from medconsist.errors import MedconsistError
from medconsist.manifests.case_facts import case_facts
from medconsist.manifests.case_manifest import read_case_manifest

__all__ = ["MANIFEST", "sites_of"]

MANIFEST = "manifest.csv"
"""Name of the manifest in the folder of a study; no result names a site."""


def sites_of(
    root: Path, studies: Iterable[str]
) -> tuple[dict[tuple[str, str], str], tuple[str, ...]]:
    """Return study and case to its site, and why the manifest of a study could not be read.

    A manifest is read again when its size or time changes. The files that it names need not be
    there.

    Parameters
    ----------
    root
        Folder of all studies.
    studies
        Those that the reader may see, each a safe name.
    """
    found: dict[tuple[str, str], str] = {}
    problems = []
    for study in studies:
        path = root / study / MANIFEST
        try:
            seen = path.stat()
        except OSError:  # most studies have none
            continue
        sites, problem = _read(path, seen.st_mtime_ns, seen.st_size, seen.st_ino)
        found |= {(study, case): site for case, site in sites.items()}
        problems += [f"Sites of study {study} are unknown: {problem}"] if problem else []
    return found, tuple(problems)


@lru_cache(maxsize=32)
def _read(path: Path, *_stamp: int) -> tuple[Mapping[str, str], str]:
    try:
        facts = case_facts(read_case_manifest(path, files=False).rows)
    except MedconsistError as error:
        return MappingProxyType({}), str(error)
    return MappingProxyType({one.case: one.site for one in facts if one.site}), ""
