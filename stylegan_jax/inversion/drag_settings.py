"""The settings of a drag, and the default features and style layers.

Reference: Pan et al. 2023, "Drag Your GAN: Interactive Point-based Manipulation on the
Generative Image Manifold", section 4, and the official code.
"""

import dataclasses

from stylegan_jax.inversion import bounds
from stylegan_jax.models import Generator

FEATURES = 128  # resolution of StyleGAN2's sixth block, whose features are tracked


@dataclasses.dataclass(frozen=True)
class DragSettings:
    """The settings of a drag.

    Attributes:
      steps: maximum number of steps.
      feature_resolution: resolution of the features that are supervised and tracked;
        None is 128, as published, or the highest that the network has below it.
      layers: number of style layers that change, from the lowest resolution; None takes
        those up to an eighth of the features' resolution: the first 6 for features of
        128, as published. Styles that act on the features themselves could imitate a
        motion by changing channels.
      learning_rate: learning rate of Adam, in standard deviations of a component of w.
      motion_radius: the pixels nearer to a handle than this move with it; None is 3 for
        512 pixels, scaled with the resolution, and at least 2.
      tracking_radius: half the side of the square around a handle in which it is
        tracked, in pixels; None is 12 for 512 pixels, scaled, and at least 2.
      stop_distance: the drag ends once every handle is within this many pixels of its
        target; None is 2 for 512 pixels, scaled, and at least 1.
      mask_weight: weight of changes outside of the mask.
      noise: "const" or "none".

    Raises:
      ValueError: a setting is out of its range.
    """

    steps: int = 300
    feature_resolution: int | None = None
    layers: int | None = None
    learning_rate: float = 0.02
    motion_radius: int | None = None
    tracking_radius: int | None = None
    stop_distance: float | None = None
    mask_weight: float = 20.0
    noise: str = "const"

    def __post_init__(self):
        """Raise ValueError for a setting that is out of its range."""
        bounds.check_at_least_one(
            self, "steps", "layers", "motion_radius", "tracking_radius"
        )
        bounds.check_not_negative(self, "learning_rate", "stop_distance", "mask_weight")
        bounds.check_noise(self)


def default_features(known: list[int]) -> int:
    """Return the default resolution of the features, one of those that are known."""
    return max(r for r in known if r <= max(FEATURES, min(known)))


def default_layers(generator: Generator, features: int) -> int:
    """Return the default number of style layers that change; see `DragSettings`."""
    return max(generator.num_ws_at(max(features // 8, 4)), 1)
