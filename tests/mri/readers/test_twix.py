"""Siemens twix: the real file sample by sample, and damaged ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import twixtools

from medconsist.errors import MedconsistError, MissingExtraError, RefusedInputError
from medconsist.mri.formats import twix_worker
from medconsist.mri.kspace import KSpace
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.readers import read_kspace
from medconsist.operators.fourier import Fourier

pytestmark = pytest.mark.data


@pytest.fixture
def gre(data_dir: Path) -> Path:
    """The real gradient echo: 2 coils, 160 lines of 320 samples."""
    return data_dir / "mri" / "twixtools_gre.dat"


def rewritten(source: Path, target: Path, change: Callable[[list[Any]], None]) -> Path:
    """Write the file again with twixtools after a change of its readouts."""
    (scan,) = twixtools.read_twix(
        str(source), parse_geometry=False, parse_pmu=False, verbose=False, keep_acqend=True
    )
    scan["mdb"] = [block.convert_to_local() for block in scan["mdb"]]
    change(scan["mdb"])
    twixtools.write_twix(scan, str(target))
    return target


def test_real_gradient_echo_is_read_sample_by_sample(gre: Path) -> None:
    read = read_kspace(gre)
    (scan,) = twixtools.read_twix(str(gre), parse_geometry=False, parse_pmu=False, verbose=False)
    expected = np.zeros((2, 320, 160), np.complex64)
    for block in scan["mdb"]:
        expected[:, :, block.cLin] = block.data
    assert np.array_equal(read.data[0].numpy(), expected)
    assert read.mask.all()
    assert read.voxel_size_mm == (None, 1.25, 1.25)
    assert read.field_strength_t == pytest.approx(2.89362)
    assert read.affine is None
    assert remove_readout_oversampling(read).data.shape == (1, 2, 160, 160)


def test_noise_and_navigators_leave_the_image_alone(gre: Path, tmp_path: Path) -> None:
    def change(blocks: list[Any]) -> None:
        blocks[3].add_flag("NOISEADJSCAN")
        blocks[4].add_flag("PHASCOR")
        blocks[5].mdh.Counter.Lin = 6  # a second readout of line 6

    read = read_kspace(rewritten(gre, tmp_path / "changed.dat", change))
    assert read.noise is not None
    assert read.noise.shape == (2, 320)
    assert read.mask[0, 0].logical_not().nonzero().flatten().tolist() == [3, 4, 5]
    assert any(note.startswith("1 readouts left out") for note in read.notes)
    assert any("Mean of 1 to 2 readouts" in note for note in read.notes)


def test_echoes_are_refused_until_one_is_chosen(gre: Path, tmp_path: Path) -> None:
    def change(blocks: list[Any]) -> None:
        for block in blocks[80:160]:
            block.mdh.Counter.Eco = 1

    path = rewritten(gre, tmp_path / "echoes.dat", change)
    with pytest.raises(RefusedInputError, match=r"2 frames .*--frame"):
        read_kspace(path)
    assert int(read_kspace(path, frame=1).mask[0, 0].sum()) == 80


def test_several_slices_say_that_their_order_is_that_of_the_counter(
    gre: Path, tmp_path: Path
) -> None:
    def change(blocks: list[Any]) -> None:
        for block in blocks[1:160:2]:
            block.mdh.Counter.Sli = 1

    read = read_kspace(rewritten(gre, tmp_path / "slices.dat", change))
    assert len(read.data) == 2
    assert any("that of acquisition" in note for note in read.notes)


def test_partitions_are_split_along_the_readout(gre: Path, tmp_path: Path) -> None:
    def change(blocks: list[Any]) -> None:
        for block in blocks[:160]:
            counter = block.mdh.Counter
            counter.Lin, counter.Par = divmod(counter.Lin, 4)

    path = rewritten(gre, tmp_path / "volume.dat", change)
    protocol = path.read_bytes()
    for name, planes, volume in (
        (b"ucDimension", b"2", b"4"),
        (b"lPartitions", b"16", b"04"),
        (b"lPhaseEncodingLines", b"160", b"040"),
    ):
        key = b"sKSpace." + name + b"\t = \t"
        assert key + planes in protocol
        protocol = protocol.replace(key + planes, key + volume)
    path.write_bytes(protocol)
    (scan,) = twixtools.read_twix(str(gre), parse_geometry=False, parse_pmu=False, verbose=False)
    spectrum = torch.zeros(320, 2, 40, 4, dtype=torch.complex64)
    for block in scan["mdb"][:160]:
        line, partition = divmod(block.cLin, 4)
        spectrum[:, :, line, partition] = torch.tensor(block.data.T)
    read = read_kspace(path)
    expected = Fourier(dims=(0,)).adjoint(spectrum)[80:240]
    assert (read.data - expected).abs().max() <= 1e-6 * expected.abs().max()  # one transform
    assert read.data.shape == (160, 2, 40, 4)
    assert read.mask.all()


def test_reflected_readouts_are_refused(gre: Path, tmp_path: Path) -> None:
    def change(blocks: list[Any]) -> None:
        blocks[7].add_flag("REFLECT")

    path = rewritten(gre, tmp_path / "epi.dat", change)
    with pytest.raises(RefusedInputError, match="1 reflected readouts"):
        read_kspace(path)


def answer_to(path: Path) -> MedconsistError | KSpace:
    """Return what the reader gives or refuses with."""
    try:
        return read_kspace(path, budget_bytes=2**26)
    except MedconsistError as error:
        return error


def is_sentence(answer: MedconsistError | KSpace) -> bool:
    """Tell whether this is a refusal of the input in one sentence."""
    if isinstance(answer, KSpace):
        return False
    return answer.exit_code == 2 and "\n" not in str(answer)


@pytest.mark.parametrize("share", [0.005, 0.999])
def test_truncated_file_is_one_sentence(share: float, gre: Path, tmp_path: Path) -> None:
    whole = gre.read_bytes()
    path = tmp_path / "cut.dat"
    path.write_bytes(whole[: int(share * len(whole))])
    assert is_sentence(answer_to(path))


@pytest.mark.parametrize("place", [16, 10240, 10540, -40_000])
def test_damaged_headers_never_take_the_caller_down(place: int, gre: Path, tmp_path: Path) -> None:
    damaged = bytearray(gre.read_bytes())
    where = place % len(damaged)
    damaged[where : where + 4] = b"\xff" * 4
    path = tmp_path / "damaged.dat"
    path.write_bytes(damaged)
    answer = answer_to(path)
    assert is_sentence(answer) or isinstance(answer, KSpace)


def test_block_that_claims_channels_beyond_the_file_is_refused(gre: Path, tmp_path: Path) -> None:
    damaged = bytearray(gre.read_bytes())
    (scan,) = twixtools.read_twix(str(gre), parse_geometry=False, parse_pmu=False, verbose=False)
    channels = scan["mdb"][9].mem_pos + type(scan["mdb"][9].mdh).UsedChannels.offset
    damaged[channels : channels + 2] = b"\xff\xff"
    path = tmp_path / "damaged.dat"
    path.write_bytes(damaged)
    assert "damaged" in str(answer_to(path))


def test_name_without_suffix_is_refused(gre: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(gre.read_bytes())
    with pytest.raises(RefusedInputError, match=r"ending in \.dat"):
        read_kspace(path)


def test_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    missing = MissingExtraError("twixtools is not installed. pip install 'medconsist[siemens]'")
    opening = {"path": str(tmp_path / "scan.dat"), "budget_bytes": 1}
    with (
        pytest.raises(MissingExtraError, match="siemens"),
        twix_worker.open_file(opening, missing=missing),
    ):
        pass
