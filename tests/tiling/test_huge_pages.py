"""Memory in huge pages: private to the process, writable, a little off a page."""

import os

import numpy as np
import pytest

from medconsist.tiling.huge_pages import huge


def test_memory_begins_one_item_off_a_page() -> None:
    block = huge((3, 5), np.dtype(np.uint16))
    assert block.shape == (3, 5)
    assert block.ctypes.data % 4096 == 2
    block[:] = 7
    assert block.sum() == 7 * 15


# The child only writes and ends.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_child_writes_is_its_own() -> None:
    block = huge((4,), np.dtype(np.uint8))
    block[:] = 1
    child = os.fork()
    if not child:
        block[:] = 9
        os._exit(0)
    os.waitpid(child, 0)
    assert (block == 1).all()
