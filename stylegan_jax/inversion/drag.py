"""Drag: move points of an image to given targets.

    dragger = Dragger(network, DragSettings())
    for frame in dragger.drag(ws, handles=[(20, 30)], targets=[(28, 30)]):
        frame.image, frame.points, frame.distances

Each step updates w so that the features at the handles move up to one pixel towards
their targets (motion supervision), and then finds the handles in the new features
(point tracking). Points are (x, y) in pixels from the center of the top-left pixel.

Reference: Pan et al. 2023, "Drag Your GAN: Interactive Point-based Manipulation on the
Generative Image Manifold", sections 3.2 and 3.3.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stylegan_jax.config import image_size
from stylegan_jax.inversion import drag_settings, motion
from stylegan_jax.inversion.drag_settings import DragSettings
from stylegan_jax.inversion.points import Points, check_mask, check_points
from stylegan_jax.inversion.schedule import adam
from stylegan_jax.inversion.w_statistics import w_statistics
from stylegan_jax.layers.blocks import join
from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.networks.network import Label, Network
from stylegan_jax.runtime.image_io import to_uint8

ROWS = 8  # the handles are padded to a multiple of this, to compile fewer programs
PUBLISHED_RESOLUTION = 512  # resolution for which the radii are published

__all__ = ["Dragger", "DragSettings", "Frame"]


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """The state of a drag after a number of steps.

    Attributes:
      step: steps done.
      ws: [L,W] float32.
      image: [H,W,C] uint8, the image of ws.
      points: [N,2], the tracked positions of the handles in the image.
      distances: [N], distances of the handles to their targets, in pixels.
      arrived: True if every handle is within `stop_distance` of its target.
    """

    step: int
    ws: np.ndarray
    image: np.ndarray
    points: np.ndarray
    distances: np.ndarray
    arrived: bool


class _Static(NamedTuple):
    """The static arguments of the compiled programs; hashable."""

    generator: Generator
    noise: str
    features: str  # name of the module whose outputs are the features
    grid: motion.Grid
    motion_radius: int
    tracking_radius: int


class _Task(NamedTuple):
    """The traced values that all steps of a drag share.

    `pattern` [N,C] holds the features at the handles in the first image, `before`
    [h,w,C] all features of that image, and `fixed` [h,w] is 1 where they must not
    change.
    """

    variables: Variables
    ws: jax.Array
    targets: jax.Array
    valid: jax.Array
    pattern: jax.Array
    before: jax.Array
    fixed: jax.Array
    learning_rate: jax.Array
    mask_weight: jax.Array


class _State(NamedTuple):
    """The w of the first layers [l,W], the state of Adam, and the handles [N,2]."""

    w: jax.Array
    optimizer: optax.OptState
    points: jax.Array


class Dragger:
    """A network and settings, ready to drag.

    Programs are compiled at the first use, and reused for other images, handles and
    masks, and for tuned versions of the network.

    Attributes:
      network: the network.
      settings: see `DragSettings`.
      size: height and width of the images.
      layers: number of style layers that change.
      stop_distance: in pixels; see `DragSettings`.
    """

    def __init__(
        self,
        network: Network,
        settings: DragSettings | None = None,
        *,
        label: Label = None,
        resolution: int | None = None,
    ):
        """Choose the features, and compute the scale of w.

        Args:
          network: the network.
          settings: see `DragSettings`; None for its defaults.
          label: label of the images, for conditional networks; see `Network.label`.
          resolution: resolution of the images, for networks that grew; None is the
            highest.

        Raises:
          ValueError: the network has no such resolution, features, layers or label.
        """
        s = settings or DragSettings()
        self.network, self.settings = network, s
        self.lod = network.level(resolution)
        generator = network.generator
        self.size = image_size(generator.base_size, self.lod.resolution)
        pixel = self.lod.resolution / PUBLISHED_RESOLUTION
        known = [r for r in generator.feature_modules() if r <= self.lod.resolution]
        features = s.feature_resolution
        if features is None:
            features = drag_settings.default_features(known)
        if features not in known:
            raise ValueError(
                f"feature_resolution (={features}) must be one of {known}, the "
                "resolutions of this network's features"
            )
        most = generator.num_ws_at(self.lod.resolution)
        layers = s.layers or drag_settings.default_layers(generator, features)
        if layers > most:
            raise ValueError(
                f"layers (={layers}) must be at most {most}, the style layers of these "
                "images"
            )
        self.layers = layers

        def radius(value: int | None, published: int, least: int) -> int:
            return max(round(published * pixel), least) if value is None else value

        stop = s.stop_distance
        self.stop_distance = max(2 * pixel, 1.0) if stop is None else stop
        self._static = _Static(
            generator.clone(**fastest_forms(jax.default_backend())),
            s.noise,
            generator.feature_modules()[features],
            motion.Grid(self.size, features / self.lod.resolution),
            radius(s.motion_radius, 3, 2),
            radius(s.tracking_radius, 12, 2),
        )
        component = w_statistics(network, label).std / np.sqrt(generator.w_dim)
        self._rate = np.float32(s.learning_rate * component)

    def drag(
        self,
        ws: np.ndarray,
        handles: Points,
        targets: Points,
        mask: np.ndarray | None = None,
        variables: Variables | None = None,
    ) -> Iterator[Frame]:
        """Move the handles to their targets.

        Args:
          ws: [L,W], the styles of the image.
          handles: N points (x, y) in the image, in pixels.
          targets: N points, one for each handle.
          mask: [H,W] bool, True where the image may change; None for everywhere.
          variables: variables of a tuned version of the network; None for its own.

        Returns:
          An iterator of frames. The first is the start; the last has arrived, or is the
          one after `settings.steps` steps. The caller may stop at any frame.

        Raises:
          ValueError: an argument does not fit the image or the network.
        """
        ws = np.asarray(ws, np.float32)
        self.network.generator.check_ws(ws)
        handles, targets = check_points(handles, targets, self.size)
        mask = check_mask(mask, self.size)
        return self._frames(
            ws, handles, targets, mask, variables or self.network.variables
        )

    def _frames(self, ws, handles, targets, mask, variables) -> Iterator[Frame]:
        count = len(handles)
        rows = -(-count // ROWS) * ROWS
        padding = [(0, rows - count), (0, 0)]
        points, ends = np.pad(handles, padding), np.pad(targets, padding)
        features, pattern = _begin(self._static, self.lod, variables, ws, points)
        task = _Task(
            variables,
            ws,
            ends,
            np.arange(rows) < count,
            pattern,
            features,
            motion.fixed_features(mask, self._static.grid, features.shape),
            self._rate,
            np.float32(self.settings.mask_weight),
        )
        w = jnp.asarray(ws[: self.layers])
        state = _State(w, adam().init(w), jnp.asarray(points))
        for step in range(self.settings.steps + 1):
            following, image = _step(self._static, self.lod, task, state)
            # `following` has the points of this image, but the w of the next one.
            found = np.asarray(following.points)[:count]
            distances = np.linalg.norm(targets - found, axis=1)
            arrived = bool(np.all(distances <= self.stop_distance))
            moved = np.array(ws)
            moved[: self.layers] = np.asarray(state.w)
            yield Frame(
                step, moved, to_uint8(np.asarray(image)), found, distances, arrived
            )
            if arrived:
                return
            state = following


def _synthesize(
    static: _Static, lod: LevelOfDetail, variables: Variables, ws: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the image [H,W,C] and the features [h,w,C] of ws [L,W]."""
    name = static.features
    image, captured = static.generator.apply(
        variables,
        ws[None],
        lod=lod,
        noise=static.noise,
        method="synthesize",
        capture_intermediates=lambda module, _: module.name == name,
        mutable=["intermediates"],
    )
    features = captured["intermediates"][name]["__call__"][0]
    return image[0], join(features)[0].astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=0)
def _begin(static, lod, variables, ws, points):
    """Return the features [h,w,C] of ws [L,W], and the features at points: [N,C]."""
    _, features = _synthesize(static, lod, variables, ws)
    return features, static.grid.sample(features, points)


@functools.partial(jax.jit, static_argnums=0)
def _step(
    static: _Static, lod: LevelOfDetail, task: _Task, state: _State
) -> tuple[_State, jax.Array]:
    """Track the points, and update w.

    Returns:
      The state, with the points before the update and w after it; and the image
      [H,W,C] before the update.
    """

    def objective(w: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        ws = jnp.concatenate([w, task.ws[len(w) :]])
        image, features = _synthesize(static, lod, task.variables, ws)
        points = motion.track(
            static.grid,
            jax.lax.stop_gradient(features),
            state.points,
            task.pattern,
            static.tracking_radius,
        )
        loss = motion.motion_loss(
            static.grid,
            features,
            points,
            task.targets,
            task.valid,
            static.motion_radius,
        )
        outside = motion.mask_loss(features, task.before, task.fixed)
        return loss + task.mask_weight * outside, (points, image)

    gradient, (points, image) = jax.grad(objective, has_aux=True)(state.w)
    updates, optimizer = adam().update(gradient, state.optimizer)
    w = state.w - task.learning_rate * updates
    return _State(w, optimizer, points), image
