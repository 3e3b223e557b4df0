"""Images in blocks of 2x2 pixels, and convolutions of them, for TPUs.

A TPU multiplies matrices of 128x128 numbers and pads smaller ones: a convolution of 64
channels takes as long as one of 128, and its activations as much memory. In blocks,
four pixels become one position with four times the channels.

A window of 2x2 blocks holds all pixels that a 3x3 kernel needs for the four pixels
around the center of the window. So a convolution of *aligned* blocks, which begin at
even rows and columns, results in *shifted* blocks, which begin at odd ones, and a
convolution of those results in aligned blocks. Convolutions that change the resolution
are fused with their filter. Each is a convolution of blocks with a kernel that is
linear in the given one; `conv2d_padded` computes it and its gradients of all orders.

Along an axis, an array [r,a,s,u] holds the weight with which pixel a in block r of a
window contributes to pixel s of the result through tap u of the kernel.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.conv2d import conv2d_padded
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul, precision

SIDE = 2  # pixels along each side of a block
FEW = 8  # with at most this many channels, a TPU is faster with matrix products
WIDE = 128  # number of channels that fills the matrix unit of a TPU
MAX_TAPS = 4  # length of the longest filter that the windows have room for


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Blocks:
    """An image [B,H,W,C] in blocks of 2x2 pixels.

    Attributes:
      values: [B,H/2,W/2,4C], or, if shifted, [B,H/2+1,W/2+1,4C], where the pixels
        outside of the image have arbitrary finite values.
      shifted: True if block (i,j) begins at pixel (2i-1,2j-1), not at (2i,2j).
    """

    values: jax.Array
    shifted: bool = dataclasses.field(default=False, metadata={"static": True})

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B,H,W,C) of the image."""
        b, h, w, c = self.values.shape
        h, w = (SIDE * (n - self.shifted) for n in (h, w))
        return b, h, w, c // SIDE**2

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the image."""
        return self.values.dtype

    def astype(self, dtype: jnp.dtype) -> "Blocks":
        """Return the image in another dtype."""
        return dataclasses.replace(self, values=self.values.astype(dtype))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.values)

    def __add__(self, other: "Blocks") -> "Blocks":
        """Add an image in the same blocks."""
        assert self.shifted == other.shifted
        return dataclasses.replace(self, values=self.values + other.values)

    def __mul__(self, other: "Blocks") -> "Blocks":
        """Multiply by an image in the same blocks."""
        assert self.shifted == other.shifted
        return dataclasses.replace(self, values=self.values * other.values)

    def spread(self, values: jax.Array) -> "Blocks":
        """Broadcast values [...,C], one for each channel, to an image like this one."""
        values = jnp.tile(values, SIDE**2)
        values = jnp.broadcast_to(values, self.values.shape).astype(self.dtype)
        return dataclasses.replace(self, values=values)

    def spread_pixels(self, values: jax.Array) -> "Blocks":
        """Broadcast values [B,H,W,1], one for each pixel, to an image like this one.

        This is a product with a matrix of zeros and ones, because repeating values
        within the channels is slow on a TPU.
        """
        pixels = split(values.astype(self.dtype), self.shifted).values
        repeat = np.repeat(np.eye(SIDE**2), self.shape[-1], axis=1)
        values = matmul(pixels, jnp.asarray(repeat))
        values = jnp.broadcast_to(values, self.values.shape)
        return dataclasses.replace(self, values=values)

    def cleared(self) -> jax.Array:
        """Return the values, with zeros for pixels outside of the image."""
        if not self.shifted:
            return self.values
        _, h, w, _ = self.values.shape
        channels = self.shape[-1]
        rows = np.repeat(_inside(h), SIDE * channels, axis=1)  # [h,4C]
        columns = np.tile(np.repeat(_inside(w), channels, axis=1), SIDE)  # [w,4C]
        rows, columns = (jnp.asarray(x, self.dtype) for x in (rows, columns))
        return self.values * rows[:, None] * columns


def _inside(count: int) -> np.ndarray:
    """Return 1 for pixels of `count` shifted blocks in the image, else 0: [count,2]."""
    inside = np.ones((count, SIDE))
    inside[0, 0] = inside[-1, -1] = 0
    return inside


def split(x: jax.Array, shifted: bool = False) -> Blocks:
    """Return x [B,H,W,C] in blocks, zero outside of the image."""
    if x.shape[-1] <= FEW:
        rows, columns = (_placement(n, shifted, x.dtype) for n in x.shape[1:3])
        exact = precision(x)
        x = jnp.einsum("bxyc,ywe->bxewc", x, columns, precision=exact)
        x = jnp.einsum("bxewc,xhd->bhwdec", x, rows, precision=exact)
        return Blocks(x.reshape(*x.shape[:3], -1), shifted)
    if shifted:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return Blocks(space_to_depth(x), shifted)


def join(x: Blocks | jax.Array) -> jax.Array:
    """Return an image [B,H,W,C], which may be in blocks, as an array."""
    if not isinstance(x, Blocks):
        return x
    _, h, w, channels = x.shape
    if channels <= FEW:
        rows, columns = (_placement(n, x.shifted, x.dtype) for n in (h, w))
        values = x.values.reshape(*x.values.shape[:3], SIDE, SIDE, channels)
        exact = precision(values)
        values = jnp.einsum("bhwdec,ywe->bhdyc", values, columns, precision=exact)
        return jnp.einsum("bhdyc,xhd->bxyc", values, rows, precision=exact)
    pixels = depth_to_space(x.values)
    return pixels[:, 1:-1, 1:-1] if x.shifted else pixels


def _placement(size: int, shifted: bool, dtype: jnp.dtype) -> jax.Array:
    """Return the matrix [size,blocks,2] of zeros and ones from blocks to pixels.

    With few channels, a TPU multiplies faster than it moves pixels.
    """
    pixels = np.eye(size + 2 * shifted)
    pixels = pixels[1:-1] if shifted else pixels
    return jnp.asarray(pixels.reshape(size, -1, SIDE), dtype)


def space_to_depth(x: jax.Array) -> jax.Array:
    """Move blocks of 2x2 pixels to the channels: [B,2H,2W,C] -> [B,H,W,4C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


def depth_to_space(x: jax.Array) -> jax.Array:
    """Move the channels to blocks of 2x2 pixels: [B,H,W,4C] -> [B,2H,2W,C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


def conv2d(x: Blocks, kernel: jax.Array, arithmetic: Arithmetic = EXACT) -> Blocks:
    """Convolve (cross-correlate) with zero padding that keeps the size.

    Args:
      x: an image [B,H,W,I].
      kernel: [k,k,I,O], k 1 or 3.
      arithmetic: precision and forms of the products.

    Returns:
      An image [B,H,W,O], for k 3 in the other blocks.
    """
    if len(kernel) == 1:
        along = _taps(lambda n, i, u: i == n, 1, range(2), range(2), SIDE)
        expanded = _expand(kernel, along)
        return Blocks(matmul(x.values, expanded[0, 0], arithmetic), x.shifted)
    weight = lambda n, i, u: i == n + u - 1  # noqa: E731
    along = _taps(weight, 3, range(-1, 3), range(2), SIDE)
    expanded = _expand(kernel, along)
    padding = 0 if x.shifted else 1
    return Blocks(
        conv2d_padded(x.cleared(), expanded, padding, arithmetic), not x.shifted
    )


def up_conv2d(
    x: jax.Array | Blocks,
    kernel: jax.Array,
    taps: np.ndarray,
    arithmetic: Arithmetic = EXACT,
) -> Blocks:
    """Double the resolution, convolve and filter, as `conv2d_resample.up_conv2d` does.

    Args:
      x: [B,H,W,I], possibly in shifted blocks.
      kernel: [3,3,I,O].
      taps: the filter, see `suits`.
      arithmetic: precision and forms of the products.

    Returns:
      An image [B,2H,2W,O] in aligned blocks.
    """
    taps = np.flip(taps) * 2.0
    before = (len(taps) + 1) // 2 - 1
    weight = lambda n, i, u: _at(taps, 2 * i + u - n + before)  # noqa: E731
    if not isinstance(x, Blocks):
        along = _taps(weight, 3, range(-1, 2), range(2))
        return Blocks(conv2d_padded(x, _expand(kernel, along), 1, arithmetic))
    assert x.shifted
    # A window of 2x2 blocks determines 4x4 pixels, which are four blocks.
    along = _taps(weight, 3, range(-1, 3), range(4), SIDE)
    values = conv2d_padded(x.cleared(), _expand(kernel, along), 0, arithmetic)
    return Blocks(depth_to_space(values))


def down_conv2d(
    x: Blocks,
    kernel: jax.Array,
    taps: np.ndarray,
    arithmetic: Arithmetic = EXACT,
    in_blocks: bool = False,
) -> jax.Array | Blocks:
    """Filter, convolve and halve the resolution, as `conv2d_resample.down_conv2d` does.

    Args:
      x: an image [B,2H,2W,I]; in aligned blocks for k 3, in shifted ones for k 1.
      kernel: [k,k,I,O], k 1 or 3.
      taps: the filter, see `suits`.
      arithmetic: precision and forms of the products.
      in_blocks: return shifted blocks; see `halves_divide`.

    Returns:
      [B,H,W,O], possibly in shifted blocks.
    """
    taps, size = np.flip(taps), len(kernel)
    assert x.shifted == (size == 1)
    before = (len(taps) - 1) // 2 + size // 2
    weight = lambda n, i, u: _at(taps, i - 2 * n - u + before)  # noqa: E731
    values, padding = x.cleared(), size // 2
    if not in_blocks:
        pixels = range(-1, 3) if x.shifted else range(-2, 4)
        along = _taps(weight, size, pixels, range(1), SIDE)
        return conv2d_padded(values, _expand(kernel, along), padding, arithmetic)
    # A window of 2x2 groups of 2x2 blocks determines 2x2 pixels.
    if x.shifted:
        values = jnp.pad(values, ((0, 0), (1, 2), (1, 2), (0, 0)))
    pixels = range(-3, 5) if x.shifted else range(-4, 4)
    along = _taps(weight, size, pixels, range(-1, 1), 4)
    values = space_to_depth(values)
    values = conv2d_padded(values, _expand(kernel, along), padding, arithmetic)
    return Blocks(values, shifted=True)


def halves_divide(x: Blocks) -> bool:
    """Return True if an image of half the height and width divides into blocks."""
    return all(n % (2 * SIDE) == 0 for n in x.shape[1:3])


def suits(taps: np.ndarray) -> bool:
    """Return True if the windows have room for a filter."""
    return taps.ndim == 1 and len(taps) <= MAX_TAPS


def _at(taps: np.ndarray, t: int) -> float:
    return taps[t] if 0 <= t < len(taps) else 0.0


def _taps(
    weight: Callable[[int, int, int], float],
    size: int,
    inputs: range,
    outputs: range,
    block: int = 1,
) -> np.ndarray:
    """Return the array [r,a,s,u] of a convolution along an axis.

    Args:
      weight: (n, i, u) -> weight of pixel i in pixel n, through tap u.
      size: number of taps u.
      inputs: the pixels i in a window.
      outputs: the pixels n that it determines.
      block: number of pixels in a block of the input.
    """
    taps = [[[weight(n, i, u) for u in range(size)] for n in outputs] for i in inputs]
    return np.array(taps, np.float32).reshape(-1, block, len(outputs), size)


def _expand(kernel: jax.Array, along: np.ndarray) -> jax.Array:
    """Return the kernel [r,r,aaI,ssO] that applies `kernel` [u,u,I,O] to blocks.

    Four pixels along an axis are two blocks of two; axes of blocks precede those of
    their pixels.
    """
    window, inputs, outputs, size = along.shape
    groups = -(-inputs // SIDE), -(-outputs // SIDE)
    shape = (groups[0], inputs // groups[0], groups[1], outputs // groups[1])
    along = along.reshape(window, *shape, size)
    expanded = jnp.einsum(
        "rAaSsu,cBbTtv,uvio->rcABabiSTsto",
        *(along, along, kernel.astype(jnp.float32)),
        precision=jax.lax.Precision.HIGHEST,
    )
    i, o = kernel.shape[2:]
    return expanded.reshape(window, window, inputs**2 * i, outputs**2 * o)
