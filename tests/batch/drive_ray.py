"""A driver on Ray that a test looks at from outside: ``python -m tests.batch.drive_ray ROOT``."""

import os
import sys
from pathlib import Path

from medconsist.batch.engine import Limits
from medconsist.batch.ray_cluster import ray_cluster
from medconsist.batch.ray_engine import RayEngine
from tests.batch.conftest import Told
from tests.batch.toy import Toy, case_of, cases_in


def main(root: Path) -> None:
    """Lose a worker, then hang for ever."""
    (root / "batch").mkdir()
    files = root / "in"
    cases = [*cases_in(files, 3), case_of(files, 9, fault="die", once=str(root / "once"))]
    with ray_cluster(workers=2):
        (root / "token").write_text(os.environ["RAY_AUTH_TOKEN_PATH"])
        engine = RayEngine(workers=2)
        engine.run(Toy(root), cases, folder=root / "batch", report=Told(), limits=Limits())
        (root / "ready").touch()
        cases = [case_of(files, 20, fault="hang")]
        engine.run(Toy(root), cases, folder=root / "batch", report=Told(), limits=Limits())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
