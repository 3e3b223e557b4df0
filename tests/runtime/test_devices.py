"""The devices of a run: which there are, and what is put on them."""

import jax
import numpy as np
import pytest

from stylegan_jax.runtime import cli, parallel


def test_platform():
    abstract = parallel.Parallel(jax.sharding.AbstractMesh((8,), ("data",)))
    assert (parallel.local().platform, abstract.platform) == ("cpu", "")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Unable to initialize backend 'cuda':\n no GPU."),
        AssertionError(),  # what JAX raises for the platform of a missing plugin
    ],
)
@pytest.mark.parametrize(
    "look", [parallel.data_parallel, parallel.local, parallel.first_local_device]
)
def test_a_platform_that_is_not_there(monkeypatch, error, look):
    def fail():
        raise error

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(cli.NoDevice) as raised:
        look()
    message = str(raised.value)
    reason = str(error) and ": Unable to initialize backend 'cuda': no GPU"
    assert f"JAX_PLATFORMS (='cuda') names{reason}; unset the variable" in message
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(cli.NoDevice, match="JAX finds no device that it can use"):
        look()


@pytest.mark.parametrize(
    "batch_size, remedy", [(30, "24 or 32"), (5, "8"), (12, "8 or 16")]
)
def test_a_batch_that_does_not_divide_is_rejected(batch_size, remedy):
    eight = parallel.Parallel(jax.sharding.AbstractMesh((8,), ("data",)))
    eight.check_batch("training.batch_size", 16)
    with pytest.raises(ValueError) as error:
        eight.check_batch("training.batch_size", batch_size)
    assert str(error.value) == (
        f"`training.batch_size` (={batch_size}) must be divisible by the 8 devices; "
        f"try {remedy}"
    )


def test_host_values_reach_the_devices():
    here = parallel.data_parallel()
    tree = {"a": np.float32(0.5), "b": np.arange(6, dtype=np.int32).reshape(2, 3)}
    for put in (here.replicate, lambda t: here.put_batch({"b": t["b"]})):
        for name, x in put(tree).items():
            np.testing.assert_array_equal(np.asarray(x), tree[name])
            assert x.dtype == tree[name].dtype
    assert here.any_process(True)() and not here.any_process(False)()
