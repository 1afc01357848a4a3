"""HDF5 of any layout: told apart by the names and fields of its datasets."""

from pathlib import Path
from typing import Literal

from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5, open_foreign_hdf5
from medconsist.mri.readers.asked import Asked, refuse_first_axis
from medconsist.mri.readers.cc359 import is_cc359, read_cc359
from medconsist.mri.readers.cmrxrecon import cmrxrecon_names, count_cmrxrecon, read_cmrxrecon
from medconsist.mri.readers.fastmri import read_fastmri
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.ismrmrd import count_ismrmrd, ismrmrd_groups, read_ismrmrd
from medconsist.mri.readers.skm_tea import count_skm_tea, is_skm_tea, read_skm_tea
from medconsist.mri.readers.volume import Volume

__all__ = ["count_hdf5_frames", "read_hdf5_kspace"]

Layout = Literal["ismrmrd", "cmrxrecon", "skm_tea", "cc359", "fastmri"]

_READ = {"ismrmrd": read_ismrmrd, "cmrxrecon": read_cmrxrecon, "skm_tea": read_skm_tea}
_COUNT = {"ismrmrd": count_ismrmrd, "cmrxrecon": count_cmrxrecon, "skm_tea": count_skm_tea}


def read_hdf5_kspace(path: Path, asked: Asked) -> Volume:
    """Read ISMRMRD, CMRxRecon, SKM-TEA, CC359 or fastMRI k-space, in one disposable process.

    Raises
    ------
    MedconsistError
        What the reader of the layout raises; fastMRI's where no layout is recognised.
    """
    with open_foreign_hdf5(path, budget_bytes=asked.budget_bytes) as file:
        layout = _layout(file)
        if layout != "fastmri":
            refuse_first_axis(asked, name=path.name)
        if layout in _READ:
            return _READ[layout](file, frame=asked.frame)
        choose_frame(1, asked.frame, what=f"a volume in the layout of {layout}", name=path.name)
        if layout == "cc359":
            return read_cc359(file)
        return read_fastmri(file, first_axis=asked.first_axis)


def count_hdf5_frames(path: Path, *, budget_bytes: int) -> int:
    """Return how many frames there are; one in the layouts that have no such axis.

    Raises
    ------
    MedconsistError
        What the reader of the layout raises about shapes and heads.
    """
    with open_foreign_hdf5(path, budget_bytes=budget_bytes) as file:
        count = _COUNT.get(_layout(file))
        return 1 if count is None else count(file)


def _layout(file: ForeignHdf5) -> Layout:
    if ismrmrd_groups(file):
        return "ismrmrd"
    if cmrxrecon_names(file):
        return "cmrxrecon"
    if is_skm_tea(file):
        return "skm_tea"
    return "cc359" if is_cc359(file) else "fastmri"
