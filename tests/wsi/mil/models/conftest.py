"""What tests of models share."""

from collections.abc import Iterator

import pytest
from jaxtyping import config


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch off the annotations that pytest executes, to see what the library says by itself."""
    old = bool(config.jaxtyping_disable)
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", old)
