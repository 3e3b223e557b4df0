"""The rows of a batch stay in the order of the batch, however they are sharded."""

from types import SimpleNamespace

import numpy as np

from stylegan_jax.runtime import parallel

ROWS = np.arange(12).reshape(6, 2)


def shard(start, stop):
    return SimpleNamespace(
        index=(slice(start, stop), slice(None)), data=ROWS[start:stop]
    )


def test_local_rows_are_those_of_the_shards_in_order():
    """Devices may hold them in any order, and a row more than once."""
    devices = parallel.local()
    for bounds in (
        [(0, 3), (3, 6)],
        [(4, 6), (0, 2), (2, 4)],
        [(3, 6), (0, 3), (0, 3)],
    ):
        array = SimpleNamespace(addressable_shards=[shard(*b) for b in bounds])
        np.testing.assert_array_equal(devices.local_rows(array), ROWS)
    whole = SimpleNamespace(index=(slice(None), slice(None)), data=ROWS)
    array = SimpleNamespace(addressable_shards=[whole])
    np.testing.assert_array_equal(devices.local_rows(array), ROWS)


def test_a_batch_keeps_its_rows():
    devices = parallel.local()
    batch = devices.put_batch((ROWS, ROWS[:, 0]))
    np.testing.assert_array_equal(batch[0], ROWS)
    np.testing.assert_array_equal(devices.local_rows(batch[0]), ROWS)
    np.testing.assert_array_equal(devices.all_rows(ROWS), ROWS)
