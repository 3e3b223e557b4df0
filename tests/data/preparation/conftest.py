"""Fixtures of the tests of `prepare`."""

import pytest

from stylegan_jax.data import preparation


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 4)
