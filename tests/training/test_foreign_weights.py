"""A hostile or damaged file is refused in words, before anything large is made of it."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from medconsist.errors import MedconsistError, RefusedInputError
from medconsist.training.foreign_weights import read_foreign

STATE = {"a": torch.arange(600.0).reshape(20, 30), "b": torch.ones(7)}
ODD: dict[str, Any] = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "without values": lambda: torch.zeros(3, device="meta"),
    "quantised": lambda: torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8),
    "4 TiB of one number": lambda: torch.zeros(1).expand(2**40),
}


def saved(content: object, *, archive: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=archive)
    return file.getvalue()


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns of quantised tensors
def test_what_is_no_dense_tensor_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(saved({**STATE, "odd": ODD[kind]()}))
    with pytest.raises(RefusedInputError, match="odd is no plain tensor"):
        read_foreign(tmp_path / "a.pth")


def test_an_archive_packed_anew_is_refused_not_mapped(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(io.BytesIO(saved(STATE))) as archive,
        zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    with pytest.raises(RefusedInputError, match="is a compressed archive"):
        read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize("archive", [True, False])
def test_damage_anywhere_ends_in_words(*, archive: bool, tmp_path: Path) -> None:
    whole, path = saved(STATE, archive=archive), tmp_path / "a.pth"
    places = torch.randint(len(whole), (150, 3), generator=torch.Generator().manual_seed(0))
    refused = 0
    for trial, (length, *flipped) in enumerate(places.tolist()):
        damaged = bytearray(whole if trial % 2 else whole[:length])
        for place in flipped:
            damaged[place % max(len(damaged), 1)] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read_foreign(path)
        except MedconsistError:
            refused += 1
    assert refused >= 75  # every truncated one; a changed number cannot be told


def test_a_storage_that_no_tensor_has_is_refused(tmp_path: Path) -> None:
    whole = saved(STATE, archive=False)
    key = str(STATE["a"].untyped_storage()._cdata).encode()
    place = whole.rindex(key)  # in the list of storages, behind the tensors
    damaged = whole[:place] + key.translate(bytes.maketrans(b"0123456789", b"1234567890"))
    (tmp_path / "a.pth").write_bytes(damaged + whole[place + len(key) :])
    with pytest.raises(RefusedInputError, match="neither safetensors nor a torch file"):
        read_foreign(tmp_path / "a.pth")
