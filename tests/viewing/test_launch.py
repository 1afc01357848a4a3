import subprocess
import sys
from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.viewing.launch import command, main_script, origins, page
from medconsist.viewing.leaving.annotations import MAX_UPLOAD
from medconsist.viewing.web.settings import ViewerSettings


def test_the_server_listens_to_this_machine_alone_and_sends_nothing(tmp_path: Path) -> None:
    words = command(ViewerSettings(results=tmp_path), 8501)
    assert "--server.address=127.0.0.1" in words
    assert "--browser.gatherUsageStats=false" in words
    assert "--server.enableStaticServing=false" in words
    assert f"--server.maxUploadSize={MAX_UPLOAD // 2**20}" in words
    assert origins(ViewerSettings(results=tmp_path)) == ()
    assert {"--server.allowedHosts=127.0.0.1", "--server.allowedHosts=localhost"} <= set(words)
    assert not any(str(tmp_path) in word for word in words)  # other accounts read them


def test_the_page_is_a_file() -> None:
    assert page().is_file()
    assert main_script().is_file()


def test_importing_the_launcher_imports_no_streamlit() -> None:
    code = "import sys, medconsist.viewing.launch; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_results_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no results folder at .*absent"):
        command(ViewerSettings(results=tmp_path / "absent"), 8501)


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_out_of_range_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(RefusedInputError, match="allowed 1 to 65535"):
        command(ViewerSettings(results=tmp_path), port)
