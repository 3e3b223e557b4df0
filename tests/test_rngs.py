"""No two uses of a run's randomness share a key."""

import itertools

import jax
import numpy as np

from stylegan_jax import rngs
from stylegan_jax.rngs import Stream


def test_keys_differ_in_every_part():
    parts = list(itertools.product((0, 1, 7), tuple(Stream), (0, 1, 2), (0, 1), (0, 1)))
    data = jax.vmap(
        lambda seed, stream, step, phase, round_index: jax.random.key_data(
            _key(seed, stream, step, phase, round_index)
        )
    )(*np.array(parts).T)
    assert len(np.unique(data, axis=0)) == len(parts)


def _key(seed, stream, step, phase, round_index):
    """Return `rngs.key` with a traced stream, so that one program creates all keys."""
    streams = [lambda s=s: rngs.key(seed, s, step, phase, round_index) for s in Stream]
    return jax.lax.switch(stream, streams)


def test_streams_have_distinct_numbers():
    assert len(Stream) == len(
        Stream.__members__
    )  # members with equal numbers would be aliases
    assert sorted(Stream) == list(range(len(Stream)))


def test_stream_numbers_never_change():
    assert [stream.name for stream in sorted(Stream)] == [
        *("LATENT", "MIXING_LATENT", "MIXING_CUTOFF", "NOISE", "MIRROR"),
        *("INTERPOLATION", "INIT_GENERATOR", "INIT_DISCRIMINATOR", "GRID"),
        *("PATH_NOISE", "AUGMENT_REALS", "AUGMENT_FAKES", "AUGMENT_BETWEEN"),
        "PSEUDO_REALS",
    ]


def test_traced_and_static_steps_give_the_same_key():
    traced = jax.jit(lambda step: rngs.key(3, Stream.NOISE, step, 1, 2))(5)
    number = rngs.key(3, Stream.NOISE, 5, 1, 2)
    np.testing.assert_array_equal(*map(jax.random.key_data, (traced, number)))
