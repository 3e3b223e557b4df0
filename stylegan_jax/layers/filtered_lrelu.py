"""Leaky ReLU at a higher sampling rate, between two filters: StyleGAN3's activation.

    y = down(clamp(gain * lrelu(up(x + bias))))

A pointwise nonlinearity creates frequencies that the grid of its input cannot
represent. Here, it acts on a finer grid, and the second filter removes the frequencies
that the output grid cannot represent.

This is a single operation with a custom gradient. The forward pass keeps only two bits
for each pixel of the finer grid: its sign, and whether it was clamped. These are
constant almost everywhere, so higher derivatives are derived from the gradient
automatically. Neither the operation nor its gradient inserts zeros into an array (see
`upfirdn2d`). The finer grid is stored as the phases that the downsampling reads (see
`polyphase`), unless the filters are matrix products, as on TPUs, or the finer grid is
computed where it is read (see `filtered_lrelu_gpu`).

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section
3.2, figure 4b and appendix D.
"""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers import filtered_lrelu_gpu, packed_codes, polyphase, upfirdn2d
from stylegan_jax.layers.linear import spread
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.layers.packed_codes import PER_BYTE
from stylegan_jax.layers.upfirdn2d import IDENTITY, NO_PADDING, Geometry, Pair

_POSITIVE, _NEGATIVE, _CLAMPED = range(3)


def filtered_lrelu(
    x: jax.Array,
    bias: jax.Array | None,
    up_taps: np.ndarray = IDENTITY,
    down_taps: np.ndarray = IDENTITY,
    up: int = 1,
    down: int = 1,
    padding: tuple[Pair, Pair] = NO_PADDING,
    gain: float = math.sqrt(2.0),
    slope: float = 0.2,
    clamp: float | None = None,
    flip: bool = False,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Add a bias, upsample, apply the leaky ReLU, its gain and a clamp, downsample.

    Args:
      x: [B,H,W,C], of any floating dtype.
      bias: [C] float32; None for none.
      up_taps: upsampling filter, [k] for a separable one, or [h,w].
      down_taps: downsampling filter, in the same form.
      up: upsampling factor; upsampling preserves the amplitude.
      down: downsampling factor.
      padding: zeros ((top, bottom), (left, right)) around the upsampled image;
        negative values crop.
      gain: positive factor after the leaky ReLU.
      slope: slope of the leaky ReLU for negative values.
      clamp: maximum absolute value after the leaky ReLU; None for no bound.
      flip: correlate with the filters instead of convolving.
      arithmetic: for separable filters, its `pixel_blocks` selects matrix products, and
        its `fused_columns` the form for GPUs.

    Returns:
      [B,H',W',C] with the dtype of x and H' = (H * up + top + bottom - up_taps + 1 -
      down_taps) // down + 1.
    """
    chex.assert_rank(x, 4)
    if bias is not None:
        x = x + spread(bias, x)
    matrices = arithmetic if arithmetic.pixel_blocks else None
    upsampling = upfirdn2d.geometry(
        x.shape, up_taps, up, 1, padding, flip, float(up**2), matrices
    )
    shape = (x.shape[0], *upsampling.lengths, x.shape[-1])
    downsampling = upfirdn2d.geometry(
        shape, down_taps, 1, down, flip=flip, matrices=matrices
    )
    phases = 1 if matrices else down
    if phases == 1:  # add rows that are not read, as a byte has the codes of four
        height, width = upsampling.lengths
        lengths = (-(-height // PER_BYTE) * PER_BYTE, width)
        upsampling = dataclasses.replace(upsampling, lengths=lengths)
    # With shorter filters, some pixels of the finer grid would not depend on any input.
    filters = ((upsampling.taps, up), (downsampling.taps, down))
    fusible = all(taps.ndim == 1 and len(taps) >= n > 1 for taps, n in filters)
    plan = _Plan(
        x.shape[1:3],
        upsampling,
        downsampling,
        phases,
        arithmetic.fused_columns and fusible and not matrices,
        gain,
        slope,
        clamp,
    )
    return _filtered_lrelu(x, plan)


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """The operation's parameters for inputs of `size`.

    The finer grid is represented by the list of its phases (see `polyphase`), or by a
    list of one array if `phases` is 1, or is not stored if the columns are `fused`.
    """

    size: tuple[int, int]
    up: Geometry
    down: Geometry
    phases: int
    fused: bool
    gain: float
    slope: float
    clamp: float | None

    def refine(self, x: jax.Array, g: Geometry) -> list[jax.Array]:
        """Apply the upsampling, or the adjoint of the downsampling."""
        if self.phases == 1:
            return [upfirdn2d.apply(x, g)]
        return polyphase.split(x, g, self.phases)

    def coarsen(self, fine: list[jax.Array], g: Geometry) -> jax.Array:
        """Apply the downsampling, or the adjoint of the upsampling."""
        if self.phases == 1:
            return upfirdn2d.apply(fine[0], g)
        return polyphase.merge(fine, g, self.phases)

    def activate(self, x: jax.Array) -> jax.Array:
        """Apply the leaky ReLU, its gain and the clamp."""
        x = self._without_clamp(x)
        if self.clamp is None:
            return x
        return jnp.clip(x, -self.clamp, self.clamp)

    def codes(self, x: jax.Array) -> jax.Array:
        """Return the codes of x that the gradient needs."""
        codes = jnp.where(x < 0, _NEGATIVE, _POSITIVE)
        if self.clamp is not None:
            outside = jnp.abs(self._without_clamp(x)) > self.clamp
            codes = jnp.where(outside, _CLAMPED, codes)
        return codes.astype(jnp.uint8)

    def _without_clamp(self, x: jax.Array) -> jax.Array:
        return x * self.slopes(jnp.where(x < 0, _NEGATIVE, _POSITIVE), x.dtype)

    def slopes(self, codes: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """Return the derivatives of `activate` for codes of its input."""
        negative = np.asarray(self.slope * self.gain, dtype)
        slopes = jnp.where(codes == _NEGATIVE, negative, np.asarray(self.gain, dtype))
        if self.clamp is None:
            return slopes
        return jnp.where(codes == _CLAMPED, np.asarray(0, dtype), slopes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _filtered_lrelu(x: jax.Array, plan: _Plan) -> jax.Array:
    if plan.fused:
        y, _ = filtered_lrelu_gpu.forward(x, plan.up, plan.down, plan.activate)
        return y
    fine = [plan.activate(x) for x in plan.refine(x, plan.up)]
    return plan.coarsen(fine, plan.down)


def _forward(x: jax.Array, plan: _Plan) -> tuple[jax.Array, list]:
    if plan.fused:
        return filtered_lrelu_gpu.forward(
            x, plan.up, plan.down, plan.activate, plan.codes
        )
    fine = plan.refine(x, plan.up)
    codes = [plan.codes(x) for x in fine]
    return plan.coarsen([plan.activate(x) for x in fine], plan.down), _pack(codes)


def _backward(plan: _Plan, packed: list, y: jax.Array) -> tuple[jax.Array]:
    if plan.fused:
        x = filtered_lrelu_gpu.backward(
            y, packed, plan.up, plan.down, plan.size, plan.slopes
        )
        return (x,)
    fine = plan.refine(y, plan.down.adjoint(plan.up.lengths))
    codes = _unpack(packed, len(fine))
    fine = [x * plan.slopes(c, x.dtype) for x, c in zip(fine, codes, strict=True)]
    return (plan.coarsen(fine, plan.up.adjoint(plan.size)),)


_filtered_lrelu.defvjp(_forward, _backward)


def _pack(codes: list[jax.Array]) -> list[jax.Array]:
    """Pack the codes [B,H,W,C] of four phases, or of four rows of a single phase."""
    if len(codes) == 1:
        batch, height, *rest = codes[0].shape
        rows = codes[0].reshape(batch, height // PER_BYTE, PER_BYTE, *rest)
        codes = [rows[:, :, i] for i in range(PER_BYTE)]
    return packed_codes.pack(codes)


def _unpack(packed: list[jax.Array], phases: int) -> list[jax.Array]:
    """Invert `_pack` for a number of phases."""
    if phases > 1:
        return [packed_codes.unpack(packed, i) for i in range(phases)]
    rows = jnp.stack([packed_codes.unpack(packed, i) for i in range(PER_BYTE)], axis=2)
    batch, *_, width, channels = rows.shape
    return [rows.reshape(batch, -1, width, channels)]
