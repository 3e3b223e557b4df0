"""The order of the images of a run, as a function of the position.

Epoch k of N images visits them in a pseudorandom permutation of [0, N) that depends on
the seed and on k. The permutation is a small block cipher: numbers of 2b bits are
encrypted, and a result that is not below N is encrypted again until one is.

This is the permutation of TensorFlow's `RandomIndexShuffle`, which computes it inside
`tf.data`; `shuffled` computes the same numbers with NumPy, a whole epoch at once. The
cipher is four rounds of Simon with words of b bits.

Reference: Beaulieu et al. 2013, "The SIMON and SPECK Families of Lightweight Block
Ciphers", section 3; Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains",
section 4 (cycle walking).
"""

import functools

import numpy as np

SEED_PADDING = 498247692  # TensorFlow prepends it to the two numbers of a seed
ROUNDS = 4
_LEAST_BITS = 16  # of a block; shorter blocks show patterns
_Z = 0x7369F885192C0EF5  # the constant sequence of the key schedule, one bit per round


def hashed_seed(seed: int) -> int:
    """Return 31 bits that depend on all bits of a non-negative seed."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) & 0x7FFFFFFF


def shuffled(positions: np.ndarray, num_images: int, seed: int) -> np.ndarray:
    """Return the indices in the source of the images at positions of a run.

    Args:
      positions: int64 [n], numbers of images counted from the start of the run.
      num_images: number of images of the source, N.
      seed: non-negative seed of the order.

    Returns:
      int64 [n], in [0, N).
    """
    positions = np.asarray(positions, np.int64)
    indices = np.empty_like(positions)
    epochs = positions // num_images
    for epoch in np.unique(epochs):
        here = epochs == epoch
        order = _epoch(num_images, seed, int(epoch))
        indices[here] = order[positions[here] % num_images]
    return indices


@functools.lru_cache(maxsize=2)
def _epoch(num_images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the indices of an epoch in their order, int64 [N]."""
    if num_images == 1:
        return np.zeros(1, np.int64)
    # TensorFlow's size of a block: the bits of N - 2, even and at least 16. Where it is
    # too short for N - 1, a power of two, that index is encrypted as its lower bits.
    bits = max(num_images - 2, 0).bit_length()
    bits = max(bits + bits % 2, _LEAST_BITS)
    keys = _round_keys((SEED_PADDING, hashed_seed(seed), epoch), bits // 2)
    indices = _encrypt(np.arange(num_images, dtype=np.uint64), keys, bits // 2)
    if bits == _LEAST_BITS:
        return _walk_of_few(indices, keys)
    outside = np.flatnonzero(indices >= num_images)
    while len(outside):
        indices[outside] = _encrypt(indices[outside], keys, bits // 2)
        outside = outside[indices[outside] >= num_images]
    return indices.astype(np.int64)


def _walk_of_few(indices: np.ndarray, keys: list[int]) -> np.ndarray:
    """Encrypt indices [N] again until they are below N, in a few steps.

    A walk takes 65,536 / N encryptions on average. A table of all numbers' encryptions
    is composed with itself, which doubles the length of a step each time; numbers below
    N map to themselves.
    """
    num_images = len(indices)
    numbers = np.arange(1 << _LEAST_BITS, dtype=np.uint64)
    step = _encrypt(numbers, keys, _LEAST_BITS // 2).astype(np.int64)
    step[:num_images] = numbers[:num_images]
    indices = indices.astype(np.int64)
    while (indices >= num_images).any():
        indices = step[indices]
        step = step[step]
    return indices


def _round_keys(key: tuple[int, int, int], word: int) -> list[int]:
    mask = (1 << word) - 1

    def rotated(x: int, by: int) -> int:
        return (x >> by | x << word - by) & mask

    keys = [k & mask for k in key]
    while len(keys) < ROUNDS:
        bit = _Z >> len(keys) - 3 & 1
        last = keys[-1]
        new = 0xFFFFFFFC ^ bit ^ keys[-3] ^ rotated(last, 3) ^ rotated(last, 4)
        keys.append(new & mask)
    return keys


def _encrypt(values: np.ndarray, keys: list[int], word: int) -> np.ndarray:
    """Encrypt uint64 [n], blocks of two words."""
    mask = np.uint64((1 << word) - 1)

    def rotated(x: np.ndarray, by: int) -> np.ndarray:
        return (x << np.uint64(by) | x >> np.uint64(word - by)) & mask

    left, right = values >> np.uint64(word) & mask, values & mask
    for key in keys:
        mixed = rotated(right, 1) & rotated(right, 8) ^ rotated(right, 2)
        left, right = right, left ^ mixed ^ np.uint64(key)
    return left << np.uint64(word) | right
