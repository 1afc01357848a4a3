"""Build the wheel and use it alone, in an empty environment: a scan, a slide, the page.

Run by ``make wheel-test`` after ``make vendor``; not collected by pytest: it installs packages.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE_TIMEOUT_S = 60.0
# Runs in the empty environment. The health route answers even where the page itself fails.
PAGE_RUNS = """
import sys
from pathlib import Path
from streamlit.testing.v1 import AppTest
from medconsist.viewing.launch import page
from medconsist.results.store import ResultStore, studies
app = AppTest.from_file(str(page()), default_timeout=60).run()
words = " ".join(element.proto.body for element in app.get("html"))
if app.exception or "Worklist" not in words:
    sys.exit(f"{page()} drew no worklist: {[e.message for e in app.exception]} {words}")
study = next(name for name in studies(Path("results")) if name != "wsi")
app.query_params["study"] = study
app.query_params["case"] = ResultStore(Path("results"), study).cases()[0]
app.session_state["still pictures of reconstructions"] = True
app.run()
words = " ".join(element.proto.body for element in app.get("html"))
if app.exception or "Compressed sensing" not in words:
    sys.exit(f"{page()} did not draw the result: {[e.message for e in app.exception]} {words}")
if "_bundled" not in page().parts:
    sys.exit(f"{page()} is not the page of the wheel")
"""
# A sentence ends it with code 1; None is success.
JAVASCRIPT_IS_WHOLE = """
import sys
from medconsist.viewing.vendor import missing_vendor, vendor_folder
sys.exit(missing_vendor(vendor_folder()))
"""

logger = logging.getLogger("wheel_check")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its stdout; a failure ends the check."""
    logger.info("$ %s", " ".join(map(str, command)))
    environment = os.environ | {"MEDCONSIST_RESULTS": "results"}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"failed with code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def page_answers(url: str) -> bool:
    """Wait until the page's health route answers."""
    end = time.monotonic() + PAGE_TIMEOUT_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:  # noqa: S310
                return bool(answer.read() == b"ok")
        except OSError:  # not there yet, or too slow to answer
            time.sleep(0.3)
    return False


def use_slides(medconsist: Path, folder: Path) -> None:
    """Simulate a slide and embed it, as another study of the results."""
    wsi = (medconsist, "wsi")
    size = ("--width", "1024", "--height", "1024")
    slide = run(*wsi, "simulate", "--out", "slides", *size, cwd=folder).strip()
    said = run(*wsi, "embed", slide, "--out", "results", "--json", cwd=folder)
    result = folder / json.loads(said)["results"][0]["result"]
    if not result.with_name("bag.safetensors").is_file():
        sys.exit(f"the slide has no features: {said}")


def main() -> None:
    """Build, install, use."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
        run(*build, "--outdir", folder, ROOT, cwd=folder)
        wheel = next(folder.glob("medconsist-*.whl"))
        run(sys.executable, "-m", "venv", "--without-pip", folder / "empty", cwd=folder)
        bin_ = folder / "empty" / "bin"
        pip = (sys.executable, "-m", "pip", "--python", bin_ / "python", "--quiet")
        constraints = ROOT / "constraints.txt"
        run(*pip, "install", "-c", constraints, f"{wheel}[mri,wsi,timeseries,viewer]", cwd=folder)
        medconsist = bin_ / "medconsist"
        if "reconstruct" not in run(medconsist, "mri", "--help", cwd=folder):
            sys.exit("the help of the installed wheel does not name reconstruct")
        mri = (medconsist, "mri")
        run(*mri, "simulate", "--out", "scans", "--size", "64", "--slices", "1", cwd=folder)
        scan = next((folder / "scans").glob("*.h5"))
        said = run(*mri, "reconstruct", scan, "--out", "results", "--json", cwd=folder)
        if not (folder / json.loads(said)["result"]).is_file():
            sys.exit(f"the reconstruction wrote no result: {said}")
        learned = (*mri, "reconstruct", scan, "--out", "learned", "--method", "cirim", "--json")
        if "simulation-trained" not in run(*learned, cwd=folder):
            sys.exit("the wheel's own network made no image that is labelled as it must be")
        use_slides(medconsist, folder)
        run(bin_ / "python", "-c", PAGE_RUNS, cwd=folder)
        run(bin_ / "python", "-c", JAVASCRIPT_IS_WHOLE, cwd=folder)
        port = free_port()
        view = [str(medconsist), "view", "--results", "results", "--port", str(port)]
        silent = subprocess.DEVNULL
        server = subprocess.Popen(view, cwd=folder, stdout=silent, stderr=silent)
        try:
            if not page_answers(f"http://127.0.0.1:{port}"):
                sys.exit("the page of the installed wheel did not answer")
        finally:
            server.terminate()
            server.wait(timeout=20)
    logger.info("wheel: help, a scan, a slide and the page work in an empty environment")


if __name__ == "__main__":
    main()
