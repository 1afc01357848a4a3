"""A page's folder with two small libraries in the place of the real ones."""

import json
from collections.abc import Mapping
from pathlib import Path

from medconsist._digests import sha256_of_bytes
from medconsist.viewing.vendor_build import store_files

SMALL = {"one.js": b"export const one = 1;\n" * 40, "two.js": b"window.two = 2;\n" * 90}


def lock_small(viewer: Path, contents: Mapping[str, bytes] = SMALL) -> None:
    """Write the lock of ``contents`` into the page's folder."""
    files = [
        {
            "file": name,
            "source": f"node_modules/{name}",
            "package": name[:3],
            "version": "1.0.0",
            "licence": "MIT",
            "bytes": len(content),
            "sha256": sha256_of_bytes(content),
        }
        for name, content in contents.items()
    ]
    lock = {"schema_version": 1, "files": files}
    (viewer / "vendor.lock.json").write_text(json.dumps(lock))


def install_small(folder: Path, contents: Mapping[str, bytes] = SMALL) -> None:
    """Put ``contents`` where npm would put them."""
    modules = folder / "node_modules"
    modules.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (modules / name).write_bytes(content)


def build_small(viewer: Path, contents: Mapping[str, bytes] = SMALL) -> Path:
    """Build ``contents`` and return the vendor folder."""
    viewer.mkdir(parents=True, exist_ok=True)
    lock_small(viewer, contents)
    install_small(viewer / "npm", contents)
    store_files(viewer / "npm", viewer)
    return viewer / "vendor"
