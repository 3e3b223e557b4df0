"""Fixtures that the tests of metrics share."""

import pytest

from stylegan_jax.data.sources import from_path
from stylegan_jax.runtime import parallel


@pytest.fixture(scope="session")
def devices():
    return parallel.data_parallel()


@pytest.fixture(scope="session")
def emoji():
    return from_path.open_path("builtin", (16, 16), "exact")
