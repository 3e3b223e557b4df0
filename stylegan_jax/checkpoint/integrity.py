"""Checksums of arrays and metadata, exact and independent of the sharding."""

import json
import zlib
from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any
Leaves = dict[str, Any]  # name -> array


def signature(leaves: Leaves) -> dict[str, list]:
    """Return [shape, dtype, checksum] of each array, as a checkpoint stores it."""
    groups: dict[Any, Leaves] = {}  # one per set of devices, as jitted functions need
    for key, leaf in leaves.items():
        groups.setdefault(frozenset(leaf.sharding.device_set), {})[key] = leaf
    sums: dict[str, Any] = {}
    for group in groups.values():
        sums |= jax.device_get(_checksums(group))
    return {key: [*describe(leaf), int(sums[key])] for key, leaf in leaves.items()}


@jax.jit
def _checksums(leaves: Leaves) -> Leaves:
    return {key: _checksum(leaf) for key, leaf in leaves.items()}


def _checksum(x: jax.Array) -> jax.Array:
    """Return the sum modulo 2^32 of a hash of each element's bits and position.

    The hash is a bijection of the bits, so it detects any single changed element.
    Integer addition is associative, so the sum is the same for every sharding.
    """
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.uint8)
    word = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
    bits = jax.lax.bitcast_convert_type(x, word).astype(jnp.uint32)
    index = jnp.zeros(bits.shape, jnp.uint32)
    for axis, size in enumerate(bits.shape):
        index = index * jnp.uint32(size) + jax.lax.broadcasted_iota(
            jnp.uint32, bits.shape, axis
        )
    # The finalizer of MurmurHash3.
    h = bits + index * jnp.uint32(0x9E3779B1)
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return jnp.sum(h ^ (h >> 16), dtype=jnp.uint32)


def json_checksum(meta: dict) -> int:
    """Return the CRC-32 of JSON data, independent of the order of its keys."""
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def named_arrays(tree: PyTree) -> Leaves:
    """Return the arrays of a pytree by name."""
    return {array_name(k): v for k, v in jax.tree_util.tree_leaves_with_path(tree)}


def array_name(path: tuple) -> str:
    """Return the name of an array from its path in the pytree."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"


def describe(leaf: Any) -> list:
    """Return [shape, dtype] as JSON stores them."""
    return [list(leaf.shape), str(leaf.dtype)]
