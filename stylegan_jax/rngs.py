"""Named random streams, each a pure function of (seed, step, phase, round)."""

import enum

import jax


class Stream(enum.IntEnum):
    """Purposes of keys. The numbers enter the keys of every run: never change them."""

    LATENT = 0
    MIXING_LATENT = 1
    MIXING_CUTOFF = 2
    NOISE = 3
    MIRROR = 4
    INTERPOLATION = 5  # between reals and fakes, for gradient penalties
    INIT_GENERATOR = 6
    INIT_DISCRIMINATOR = 7
    GRID = 8
    PATH_NOISE = 9  # image noise of the path length regularizer
    AUGMENT_REALS = 10  # each batch that the discriminator sees has its own stream
    AUGMENT_FAKES = 11
    AUGMENT_BETWEEN = 12  # points between reals and fakes
    PSEUDO_REALS = 13  # generated images in place of reals, folded into other streams


def key(
    seed: int,
    stream: Stream,
    step: jax.Array | int = 0,
    phase: int = 0,
    round_index: jax.Array | int = 0,
):
    """Return the key of a stream.

    Args:
      seed: seed of the run.
      stream: purpose of the key.
      step: training step; may be traced.
      phase: position of the phase in a step.
      round_index: round of gradient accumulation; may be traced.

    Returns:
      A typed PRNG key.
    """
    out = jax.random.key(seed)
    for part in (step, phase, round_index, int(stream)):
        out = jax.random.fold_in(out, part)
    return out
