"""StyleGAN3's activation in three loops, for GPUs, which are limited by their memory.

The first loop filters along the height, and so does the third. The second one filters
along the width, before and after the nonlinearity. Each of its threads computes the
pixels of the finer grid that its outputs need, so that the finer grid is not stored.
The second loop adds up in float32.

Compiled for an H100, a layer of config T with its gradient moves 0.4 to 0.5 of the
bytes that it moves with the form of `polyphase`, in 0.9 to 1.1 times as many
instructions.

Along the height, the finer grid is represented by its phases, see `polyphase`. Along
the width, an array has every `period`-th output. One of the two filters upsamples
without downsampling, the other one downsamples without upsampling.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers import packed_codes, polyphase
from stylegan_jax.layers.upfirdn2d import Geometry

# A thread computes the outputs of this many finer pixels of a row together, so that
# they share others that their filters reach. Half as many take 1.4 times the
# instructions of this loop; with twice as many, XLA stores the finer pixels.
_TOGETHER = 8

Pointwise = Callable[[jax.Array], jax.Array]


def forward(
    x: jax.Array,
    up: Geometry,
    down: Geometry,
    activate: Pointwise,
    codes_of: Pointwise | None = None,
) -> tuple[jax.Array, list[list[jax.Array]]]:
    """Upsample, activate and downsample.

    Args:
      x: [B,H,W,C].
      up: geometry of the upsampling; its filter is separable.
      down: geometry of the downsampling by n along both axes, with a separable filter.
      activate: the nonlinearity.
      codes_of: function from its inputs to codes from 0 to 3, as uint8; None if the
        codes are not needed.

    Returns:
      The result [B,H',W',C], and what `backward` needs: the codes of blocks of n by n
      pixels of the finer grid, packed. A list has every p-th block of a row, from the
      first, second, ... p-th block on, as arrays [B,H'',W'',C].
    """
    n = down.downs[0]
    row = _Row(up, down)
    # Blocks of codes cover the whole finer grid, which may be larger than the result.
    num_blocks = max(down.lengths[1], -(-up.lengths[1] // n))
    count = -(-num_blocks // row.period)

    def along_width(x: jax.Array) -> tuple[list[jax.Array], list[list[jax.Array]]]:
        read = _reader(x, row.all_inputs, row.stride, count)
        fine = functools.cache(lambda k: row.fine(read, k))
        first = [n * r for r in range(row.period)] if codes_of else []
        codes = [[codes_of(fine(k + j)) for j in range(n)] for k in first]
        return row.outputs(lambda k: activate(fine(k)), x.dtype), codes

    found = [along_width(phase) for phase in _split(x, up, n)]
    y = _merge([outputs for outputs, _ in found], down, n)
    lines = zip(*(codes for _, codes in found), strict=True)
    blocks = [[code for line in block for code in line] for block in lines]
    return y, [packed_codes.pack(block) for block in blocks]


def backward(
    y: jax.Array,
    packed: list[list[jax.Array]],
    up: Geometry,
    down: Geometry,
    size: tuple[int, int],
    slopes: Callable[[jax.Array, jnp.dtype], jax.Array],
) -> jax.Array:
    """Return the gradient of x for the gradient y [B,H',W',C] of the result.

    Args:
      y: the gradient of the result of `forward`.
      packed: the codes that `forward` returned.
      up: the argument of `forward`.
      down: the argument of `forward`.
      size: (H, W) of x.
      slopes: function from codes and a dtype to derivatives of the nonlinearity.
    """
    n = down.downs[0]
    row = _Row(down.adjoint(up.lengths), up.adjoint(size))
    count = -(-size[1] // row.period)
    starts = [k // n // len(packed) for k in row.all_pixels]
    # Both directions step by as many finer pixels, so that codes have a stride of 1.
    kept = [
        [_reader(x, starts, 1, count, stored=False) for x in block] for block in packed
    ]

    def along_width(i: int, x: jax.Array) -> list[jax.Array]:
        read = _reader(x, row.all_inputs, row.stride, count)

        def gradient(k: int) -> jax.Array:
            block, j = divmod(k, n)
            q, r = divmod(block, len(packed))
            code = packed_codes.unpack([x(q) for x in kept[r]], i * n + j)
            fine = row.fine(read, k)
            return fine * slopes(code, fine.dtype)

        return row.outputs(gradient, x.dtype)

    phases = _split(y, row.refine, n)
    found = [along_width(i, phase) for i, phase in enumerate(phases)]
    return _merge(found, row.coarse, n)


@dataclasses.dataclass(frozen=True, eq=False)
class _Row:
    """The finer pixels and the inputs that the outputs of a row depend on.

    Output `period * p + r` is a weighted sum of finer pixels, each of which is a
    weighted sum of inputs. A finer pixel is named by its position k for p = 0, and an
    input by its position q for p = 0, which increases by `stride` with p.

    Attributes:
      refine: geometry from inputs to finer pixels, which does not downsample.
      coarse: geometry from finer pixels to outputs, which does not upsample.
    """

    refine: Geometry
    coarse: Geometry

    @property
    def period(self) -> int:
        up = self.refine.ups[1]
        down = self.coarse.downs[1]
        shortest = up // math.gcd(up, down)
        return shortest * max(1, _TOGETHER // (down * shortest))

    @property
    def stride(self) -> int:
        return self.period * self.coarse.downs[1] // self.refine.ups[1]

    def pixels(self, r: int) -> list[int]:
        """Return the finer pixel that each tap of an output reads."""
        first = self.coarse.downs[1] * r - self.coarse.begins[1]
        return [*range(first, first + len(self.coarse.taps))]

    def inputs(self, k: int) -> list[tuple[int, float]]:
        """Return the inputs that a finer pixel reads, and their weights."""
        up, shift = self.refine.ups[1], k - self.refine.begins[1]
        taps = enumerate(self.refine.taps, shift)
        return [(q // up, tap) for q, tap in taps if q % up == 0]

    @property
    def all_pixels(self) -> list[int]:
        return [k for r in range(self.period) for k in self.pixels(r)]

    @property
    def all_inputs(self) -> list[int]:
        return [q for k in self.all_pixels for q, _ in self.inputs(k)]

    def fine(self, read: Callable[[int], jax.Array], k: int) -> jax.Array:
        """Return a finer pixel for all p, in float32; `read` returns inputs."""
        terms = [(read(q), tap) for q, tap in self.inputs(k)]
        dtype = jnp.promote_types(terms[0][0].dtype, jnp.float32)
        return _sum(_scaled(x.astype(dtype), tap) for x, tap in terms)

    def outputs(
        self, fine: Callable[[int], jax.Array], dtype: jnp.dtype
    ) -> list[jax.Array]:
        """Return the outputs of each r for all p; `fine` returns finer pixels."""
        fine = functools.cache(fine)
        terms = [
            zip(self.pixels(r), self.coarse.taps, strict=True)
            for r in range(self.period)
        ]
        sums = [_sum(_scaled(fine(k), tap) for k, tap in pairs) for pairs in terms]
        return [x.astype(dtype) for x in sums]


def _reader(
    x: jax.Array, starts: list[int], stride: int, count: int, stored: bool = True
) -> Callable[[int], jax.Array]:
    """Return a function from a start to the pixels start, start + stride, ... of rows.

    Args:
      x: [B,H,W,C]; pixels before and after each row are zero.
      starts: the possible starts.
      stride: interval of the pixels.
      count: number of pixels.
      stored: make XLA pad x where it is computed, and not again for each start.
    """
    before = max(0, -min(starts))
    after = max(0, max(starts) + (count - 1) * stride + 1 - x.shape[2])
    padded = jnp.pad(x, ((0, 0), (0, 0), (before, after), (0, 0)))
    if stored:
        padded = jax.lax.optimization_barrier(padded)

    @functools.cache
    def read(start: int) -> jax.Array:
        start += before
        end = start + (count - 1) * stride + 1
        return jax.lax.slice_in_dim(padded, start, end, stride, axis=2)

    return read


def _split(x: jax.Array, g: Geometry, n: int) -> list[jax.Array]:
    """Filter along the height, and return every n-th row, from each of n rows on."""
    return polyphase.split(x, g.along_height(x.shape[2]), (n, 1))


def _merge(phases: list[list[jax.Array]], g: Geometry, n: int) -> jax.Array:
    """Filter the outputs of `_Row`, of each phase of the height, along the height."""
    merged = [
        polyphase.merge([*part], g.along_height(part[0].shape[2]), (n, 1), stored=False)
        for part in zip(*phases, strict=True)
    ]
    return polyphase.interleave(merged, 2, g.lengths[1])


def _scaled(x: jax.Array, tap: float) -> jax.Array:
    return x * np.asarray(tap, x.dtype)


def _sum(terms: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, terms)
