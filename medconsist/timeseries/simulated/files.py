"""A simulated cohort as files and a manifest, to try the program on as on data of yours."""

from pathlib import Path

from medconsist._atomic import make_folder
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.write import write_case_manifest
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.simulated.cohort import SimulatedCohort

__all__ = ["MANIFEST", "write_cohort"]

MANIFEST = "cohort.csv"


def write_cohort(cohort: SimulatedCohort, folder: Path) -> Path:
    """Write one HDF5 file a recording and, last, the manifest; return its path.

    Parameters
    ----------
    cohort
        Patients of the simulator.
    folder
        Made if it is missing.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    make_folder(folder)
    rows = []
    table = cohort.windows.table
    site_of = dict(zip(table.patients, table.sites, strict=True))
    for number, recording in enumerate(cohort.recordings()):
        info = recording.info
        path = folder / f"{info.patient}-{info.trial}.h5"
        write_hdf5(recording, path)
        row = CaseRow(
            row=number + 2,
            path=path.resolve(),
            patient=str(info.patient),
            case=str(info.patient),
            item=path.stem,
            site=site_of[str(info.patient)],
            label=info.diagnoses[0],
        )
        rows.append(row)
    manifest = folder / MANIFEST
    write_case_manifest(rows, manifest)
    return manifest
