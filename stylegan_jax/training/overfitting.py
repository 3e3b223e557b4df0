"""Signs that the discriminator memorizes the training images."""

from stylegan_jax.augment import controller
from stylegan_jax.config import Training

PATIENCE_TICKS = 2
ROUNDING = 1e-6  # of float32, at most


class OverfittingWatch:
    """Watches the adaptive probability of the augmentations from tick to tick."""

    def __init__(self, training: Training):
        """Start without a tick."""
        self._control = controller.from_config(training)
        self._ticks_at_maximum = 0

    def warning(self, probability: float) -> str | None:
        """Return a warning with a remedy when it is due, once for each occasion.

        Args:
          probability: probability of the augmentations at the end of a tick.
        """
        if not isinstance(self._control, controller.Adaptive):
            return None
        maximum = 1.0 if self._control.maximum is None else self._control.maximum
        self._ticks_at_maximum += 1
        if probability < maximum - ROUNDING:
            self._ticks_at_maximum = 0
        if self._ticks_at_maximum != PATIENCE_TICKS:
            return None
        return (
            f"WARNING: the augmentation probability stays at {probability:.2f}, and "
            "the discriminator still overfits. Add images, take more augmentations "
            "(`training.augment`), a larger `training.r1_gamma` or a narrower "
            "discriminator, or start from a trained network (`training.transfer`)."
        )
