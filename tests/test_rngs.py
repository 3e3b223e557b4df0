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
    """`rngs.key` with a traced stream, so that one program makes all keys."""
    streams = [lambda s=s: rngs.key(seed, s, step, phase, round_index) for s in Stream]
    return jax.lax.switch(stream, streams)


def test_streams_have_numbers_of_their_own():
    assert len(Stream) == len(Stream.__members__)  # equal numbers would be one member
    assert sorted(Stream) == list(range(len(Stream)))


def test_numbers_of_streams_are_those_of_runs_that_will_be_resumed():
    assert [stream.name for stream in sorted(Stream)] == [
        *("LATENT", "MIXING_LATENT", "MIXING_CUTOFF", "NOISE", "MIRROR"),
        *("INTERPOLATION", "INIT_GENERATOR", "INIT_DISCRIMINATOR", "GRID"),
        *("PATH_NOISE", "AUGMENT_REALS", "AUGMENT_FAKES", "AUGMENT_BETWEEN"),
    ]


def test_the_key_of_a_traced_step_is_that_of_the_number():
    traced = jax.jit(lambda step: rngs.key(3, Stream.NOISE, step, 1, 2))(5)
    number = rngs.key(3, Stream.NOISE, 5, 1, 2)
    np.testing.assert_array_equal(*map(jax.random.key_data, (traced, number)))
