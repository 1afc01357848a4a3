"""Write docs/safety/sbom.cdx.json: ``python docs/make_sbom.py``, a CycloneDX 1.6 bill of materials.

Of files of this repository alone, so that the same commit gives the same bytes and no network is
asked: constraints.txt (every Python package that was tested together), pyproject.toml (which of
them are asked for by name), apps/viewer/package-lock.json and vendor.lock.json (JavaScript of the
viewer, with its digests and licences), and the weights that ship. A test fails where it is not
current.
"""

import base64
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "safety" / "sbom.cdx.json"

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!_-]+)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NPM = "node_modules/"

Component = dict[str, Any]


def bill_of_materials(root: Path = ROOT) -> dict[str, Any]:
    """Return the whole bill."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    python = _python((root / "constraints.txt").read_text(), _asked_for(project))
    lock = json.loads((root / "apps" / "viewer" / "package-lock.json").read_text())
    vendored = json.loads((root / "apps" / "viewer" / "vendor.lock.json").read_text())["files"]
    scripts = _scripts(lock, vendored)
    models = _models(root / "medconsist" / "mri" / "weights")
    components = sorted([*python, *scripts, *models], key=lambda one: str(one["bom-ref"]))
    direct = [one["bom-ref"] for one in python if "properties" in one]
    direct += [_npm_ref(name, lock) for name in lock["packages"][""]["dependencies"]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
                "description": "Research use only, not for diagnosis. " + project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": sorted(direct)}, *_edges(lock)],
    }


def text() -> str:
    """Return the bytes of the file as text."""
    return json.dumps(bill_of_materials(), indent=2, sort_keys=True) + "\n"


def _asked_for(project: dict[str, Any]) -> dict[str, list[str]]:
    """Return, for each package that is asked for by name, by which extras; the core is one."""
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, list[str]] = {}
    for extra, wanted in groups.items():
        for one in wanted:
            match = _NAME.match(one)
            if match and _plain(match[0]) != project["name"]:
                found.setdefault(_plain(match[0]), []).append(extra)
    return found


def _python(constraints: str, asked: dict[str, list[str]]) -> list[Component]:
    found = []
    for line in constraints.splitlines():
        match = _PIN.fullmatch(line.partition("#")[0].partition(";")[0].strip())
        if match is None:
            continue
        name, version = _plain(match[1]), match[2]
        ref = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
        one: Component = {"type": "library", "name": name, "version": version}
        one |= {"bom-ref": ref, "purl": ref}
        if name in asked:
            extras = ", ".join(sorted(asked[name]))
            one["properties"] = [{"name": "medconsist:asked-for-by", "value": extras}]
        found.append(one)
    return found


def _scripts(lock: dict[str, Any], vendored: list[dict[str, Any]]) -> list[Component]:
    found = []
    for path, facts in lock["packages"].items():
        if not path:
            continue
        name = path.rpartition(_NPM)[2]
        ref = _npm_purl(name, facts["version"])
        one: Component = {"type": "library", "name": name, "version": facts["version"]}
        one |= {"bom-ref": ref, "purl": ref, "hashes": [_integrity(facts["integrity"])]}
        if "license" in facts:
            # two licences to choose from are an expression, one is an id
            is_id = " " not in facts["license"]
            wrapped = {"license": {"id": facts["license"]}}
            one["licenses"] = [wrapped if is_id else {"expression": facts["license"]}]
        if facts.get("dev") or facts.get("optional"):
            one["scope"] = "excluded" if facts.get("dev") else "optional"
        files = [_file(file) for file in vendored if file["package"] == name]
        if files:
            one["components"] = files
        found.append(one)
    return found


def _file(file: dict[str, Any]) -> Component:
    return {
        "type": "file",
        "bom-ref": f"file:{file['file']}",
        "name": file["file"],
        "hashes": [{"alg": "SHA-256", "content": file["sha256"]}],
    }


def _models(folder: Path) -> list[Component]:
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"weights:{path.stem}",
            "name": path.name,
            "hashes": [
                {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}
            ],
            "description": "simulation-trained; its card lies beside it",
        }
        for path in sorted(folder.glob("*.safetensors"))
    ]


def _edges(lock: dict[str, Any]) -> list[dict[str, Any]]:
    edges = {
        _npm_purl(path.rpartition(_NPM)[2], facts["version"]): sorted(
            _npm_ref(name, lock)
            for name in facts.get("dependencies", {})
            if f"{_NPM}{name}" in lock["packages"]
        )
        for path, facts in lock["packages"].items()
        if path
    }
    return [{"ref": ref, "dependsOn": on} for ref, on in sorted(edges.items()) if on]


def _npm_ref(name: str, lock: dict[str, Any]) -> str:
    return _npm_purl(name, lock["packages"][f"{_NPM}{name}"]["version"])


def _npm_purl(name: str, version: str) -> str:
    return f"pkg:npm/{name.replace('@', '%40')}@{version}"


def _integrity(words: str) -> dict[str, str]:
    """Return the digest of a lock file, ``sha512-<base64>``, as hexadecimal digits."""
    algorithm, _, digest = words.partition("-")
    return {
        "alg": f"SHA-{algorithm.removeprefix('sha')}",
        "content": base64.b64decode(digest).hex(),
    }


def _plain(name: str) -> str:
    """Return a package name as the index writes it: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write the file."""
    PAGE.write_text(text())
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
