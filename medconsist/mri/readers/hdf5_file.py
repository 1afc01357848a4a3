"""HDF5 of any layout: told apart by the names and fields of its datasets."""

from pathlib import Path

from medconsist.mri.formats.foreign_hdf5 import open_foreign_hdf5
from medconsist.mri.readers.cmrxrecon import cmrxrecon_names, read_cmrxrecon
from medconsist.mri.readers.fastmri import read_fastmri
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.ismrmrd import ismrmrd_groups, read_ismrmrd
from medconsist.mri.readers.skm_tea import is_skm_tea, read_skm_tea
from medconsist.mri.readers.volume import Volume

__all__ = ["read_hdf5_kspace"]


def read_hdf5_kspace(path: Path, *, budget_bytes: int, frame: int | None) -> Volume:
    """Read ISMRMRD, CMRxRecon, SKM-TEA or fastMRI k-space, in one disposable process.

    Raises
    ------
    MedconsistError
        What the reader of the layout raises; fastMRI's where no layout is recognised.
    """
    with open_foreign_hdf5(path, budget_bytes=budget_bytes) as file:
        if ismrmrd_groups(file):
            return read_ismrmrd(file, frame=frame)
        if cmrxrecon_names(file):
            return read_cmrxrecon(file, frame=frame)
        if is_skm_tea(file):
            return read_skm_tea(file, frame=frame)
        choose_frame(1, frame, what="a fastMRI volume", name=path.name)
        return read_fastmri(file)
