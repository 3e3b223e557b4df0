"""Mapping networks from z and labels to w, and operations on ws."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers import linear, matmul
from stylegan_jax.layers.activations import ACTIVATIONS, activate
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.layers.normalization import pixel_norm


class MappingNetwork(nn.Module):
    """StyleGAN's mapping network: pixel norm and a chain of dense layers.

    Attributes:
      w_dim: W, features of the last layer.
      num_layers: 0 returns the (normalized) input.
      features: features of all layers but the last.
      lr_multiplier: scales the learning rate of all layers.
      label_size: 0 for none; else labels are embedded in as many features as z has
        and concatenated to it before the normalization.
      normalize: apply pixel norm to the input.
      nonlinearity: "lrelu" or "relu".
      arithmetic: precision of the products.

    Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
    section 2 and appendix C.
    """

    w_dim: int
    num_layers: int = 8
    features: int = 512
    lr_multiplier: float = 0.01
    label_size: int = 0
    normalize: bool = True
    nonlinearity: str = "lrelu"
    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Map z [B,Z] and labels [B,label_size] to w [B,W], float32."""
        chex.assert_rank(z, 2)
        x = z.astype(jnp.float32)
        if self.label_size:
            embedding = self.param(
                "label_embedding",
                nn.initializers.normal(1.0),
                (self.label_size, z.shape[-1]),
            )
            embedded = matmul.matmul(
                labels.astype(jnp.float32), embedding, self.arithmetic
            )
            x = jnp.concatenate([x, embedded], axis=-1)
        if self.normalize:
            x = pixel_norm(x)
        activation = ACTIVATIONS[self.nonlinearity].function
        for i in range(self.num_layers):
            features = self.w_dim if i == self.num_layers - 1 else self.features
            dense = linear.Dense(
                features,
                lr_multiplier=self.lr_multiplier,
                arithmetic=self.arithmetic,
                name=f"dense{i}",
            )
            x = activation(dense(x))
        return x


class StyleGAN2Mapping(nn.Module):
    """StyleGAN2's mapping network: dense layers on normalized z and label embeddings.

    Attributes:
      w_dim: W, features of the last layer.
      z_dim: Z; 0 for a network that maps labels only.
      label_size: 0 for none.
      num_layers: 0 returns the (normalized) inputs.
      features: features of all layers but the last; None is W.
      embedding_features: features of the labels' embedding; None is W.
      lr_multiplier: scales the learning rate of all layers but the embedding.
      activation: activation of all layers but the embedding.
      arithmetic: precision of the products.

    Reference: Karras et al. 2020, "Training Generative Adversarial Networks with
    Limited Data", appendix D; Karras et al. 2019, section 2.
    """

    w_dim: int
    z_dim: int
    label_size: int = 0
    num_layers: int = 8
    features: int | None = None
    embedding_features: int | None = None
    lr_multiplier: float = 0.01
    activation: str = "lrelu"
    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(
        self, z: jax.Array | None, labels: jax.Array | None = None
    ) -> jax.Array:
        """Map z [B,Z] and labels [B,label_size] to w [B,W], float32."""
        dense = functools.partial(linear.Dense, gain=1.0, arithmetic=self.arithmetic)
        inputs = []
        if self.z_dim:
            inputs.append(pixel_norm(z.astype(jnp.float32)))
        if self.label_size:
            features = self.embedding_features or self.w_dim
            embed = dense(features, name="label_embedding")
            inputs.append(pixel_norm(embed(labels.astype(jnp.float32))))
        x = jnp.concatenate(inputs, axis=-1)
        for i in range(self.num_layers):
            last = i == self.num_layers - 1
            features = self.w_dim if last else self.features or self.w_dim
            layer = dense(features, lr_multiplier=self.lr_multiplier, name=f"dense{i}")
            x = activate(layer(x), self.activation)
        return x


def truncate(
    ws: jax.Array,
    center: jax.Array,
    psi: jax.Array | float | None,
    cutoff: int | None = None,
) -> jax.Array:
    """Pull ws towards a center: psi 1 keeps them, psi 0 returns the center.

    Args:
      ws: [B,L,W], one w per style layer.
      center: [W], the moving average of w; or [B,1,W], one for each image.
      psi: share of the distance to the center that remains; None is 1.
      cutoff: only layers below it are pulled; None means all.

    Returns:
      ws [B,L,W].

    Reference: Karras et al. 2019, section 4.1 ("truncation trick") and appendix B.
    """
    chex.assert_rank(ws, 3)
    chex.assert_shape(center, (..., ws.shape[-1]))
    if psi is None or (isinstance(psi, (int, float)) and psi == 1):
        return ws
    layers = jnp.arange(ws.shape[1])[None, :, None]
    psi = psi if cutoff is None else jnp.where(layers < cutoff, psi, 1.0)
    return center + (ws - center) * psi


def mix_styles(ws: jax.Array, other: jax.Array, cutoff: jax.Array) -> jax.Array:
    """Combine the layers below `cutoff` of `ws` with the other layers of `other`.

    Args:
      ws: [B,L,W], styles of the coarse layers.
      other: [B,L,W], styles of the fine layers.
      cutoff: integer, one for all images or one for each [B].

    Returns:
      ws [B,L,W].

    Reference: Karras et al. 2019, section 3.1 ("style mixing").
    """
    chex.assert_rank(ws, 3)
    chex.assert_equal_shape([ws, other])
    layers = jnp.arange(ws.shape[1])[None, :, None]
    return jnp.where(layers < jnp.reshape(cutoff, (-1, 1, 1)), ws, other)


def update_w_avg(w_avg: jax.Array, ws: jax.Array, beta: float) -> jax.Array:
    """Move the average w_avg [W] towards the batch mean of ws [B,L,W]."""
    chex.assert_rank(ws, 3)
    chex.assert_shape(w_avg, ws.shape[-1:])
    batch_mean = jnp.mean(ws[:, 0], axis=0)
    return batch_mean + (w_avg - batch_mean) * beta
