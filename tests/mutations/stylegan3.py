"""Wrong layers of StyleGAN3."""

from tests.mutations.mutation import Mutation, mutations

G3, FILTERED = "models/stylegan3.py", "layers/filtered_lrelu.py"
NETWORKS = "models/test_stylegan3"

MUTATIONS: tuple[Mutation, ...] = (
    *mutations(
        "StyleGAN3's layers",
        (
            "stylegan3-frequencies-above-the-cutoff",
            G3,
            "amplitudes = jnp.clip(1 - above, 0, 1)",
            "amplitudes = jnp.ones_like(above)",
            NETWORKS,
        ),
        (
            "stylegan3-translated-before-rotated",
            G3,
            "jnp.matmul(jnp.matmul(rotate, translate, **exact), user, **exact)",
            "jnp.matmul(jnp.matmul(translate, rotate, **exact), user, **exact)",
            NETWORKS,
        ),
        (
            "stylegan3-magnitude-of-the-newest-batch",
            G3,
            "average.value = now + (average.value - now) * beta",
            "average.value = now + (average.value - now) * (1 - beta)",
            NETWORKS,
        ),
        (
            "stylegan3-input-not-divided-by-its-magnitude",
            G3,
            "gain = jax.lax.rsqrt(magnitude)",
            "gain = jnp.ones_like(magnitude)",
            NETWORKS,
        ),
        (
            "stylegan3-kernels-without-demodulation",
            G3,
            "kernels = kernel[0, 0] * style[:, :, None] * scale[:, None]",
            "kernels = kernel[0, 0] * style[:, :, None]",
            NETWORKS,
        ),
        (
            "filtered-lrelu-gradient-beyond-the-clamp",
            FILTERED,
            "outside = jnp.abs(self._without_clamp(x)) > self.clamp",
            "outside = jnp.abs(self._without_clamp(x)) > 2 * self.clamp",
            "layers/test_filtered_lrelu",
        ),
        (
            "filtered-lrelu-clamped-before-its-gain",
            FILTERED,
            "return jnp.clip(x, -self.clamp, self.clamp)",
            "return jnp.clip(x, -self.clamp * self.gain, self.clamp * self.gain)",
            "layers/test_filtered_lrelu",
        ),
        (
            "polyphase-phases-a-pixel-off",
            "layers/polyphase.py",
            "begin = g.begins[axis] + g.ups[axis] * j - g.downs[axis] * i",
            "begin = g.begins[axis] + g.ups[axis] * j - g.downs[axis] * (i + 1)",
            "layers/test_polyphase",
        ),
        (
            "polyphase-gradient-of-the-transposed-image",
            "layers/polyphase.py",
            "return (merge(phases, g.adjoint(lengths), n, stored),)",
            "return (merge(phases, g.adjoint(lengths[::-1]), n, stored),)",
            "layers/test_polyphase",
        ),
        (
            "fused-columns-codes-of-the-transposed-block",
            "layers/filtered_lrelu_gpu.py",
            "[x(q) for x in kept[r]], i * n + j)",
            "[x(q) for x in kept[r]], j * n + i)",
            "layers/test_filtered_lrelu",
        ),
    ),
)
