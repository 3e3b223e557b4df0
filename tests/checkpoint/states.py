"""States to save, and programs that save them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import chex
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import SingleDeviceSharding

from stylegan_jax.checkpoint import Checkpoints

ROOT = Path(__file__).resolve().parents[2]


@flax.struct.dataclass
class State:
    params: dict
    opt_state: tuple
    images_seen: jax.Array
    key: jax.Array
    nothing: None = None


def make_state(seed, size=1000):
    key = jax.random.key(seed)
    params = {
        "conv": {"kernel": jax.random.normal(key, (3, size // 3))},
        "half": jax.random.normal(key, (7,), jnp.bfloat16),
        "counts": jnp.arange(5, dtype=jnp.uint8) + jnp.uint8(seed),
        "mask": jnp.array([True, False, True]),
    }
    optimizer = optax.adam(1e-3)
    return State(
        params,
        optimizer.init({"conv": params["conv"]}),
        jnp.uint32(seed),
        jax.random.key(seed),
    )


def template(tree):
    sharding = SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def assert_same(actual, desired):
    def data(x):
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    chex.assert_trees_all_equal_structs(actual, desired)
    actual, desired = jax.tree.map(data, actual), jax.tree.map(data, desired)
    chex.assert_trees_all_equal(actual, desired, strict=True)


def open_(directory, keep=3):
    warned = []
    return Checkpoints(directory, keep=keep, on_warning=warned.append), warned


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out
