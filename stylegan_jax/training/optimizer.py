"""Adam as the official networks were trained with it.

StyleGAN was trained with TensorFlow's Adam and StyleGAN2-ADA with PyTorch's. The two
differ in the place of epsilon:

    TensorFlow:  sqrt(1 - beta2^t) / (1 - beta1^t) * mu / (sqrt(nu) + epsilon)
    PyTorch:     mu_hat / (sqrt(nu_hat) + epsilon)

which matters where gradients are as small as epsilon.

Reference: Kingma and Ba 2015, "Adam": algorithm 1 is PyTorch's form, the end of
section 2 TensorFlow's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.config import Experiment
from stylegan_jax.training.official import OFFICIAL
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR


def build_optimizers(e: Experiment) -> dict[str, optax.GradientTransformation]:
    """Build the optimizer of each network.

    The training step multiplies its updates by the negative learning rate of the
    schedule.

    Lazy regularization makes more updates than there are steps. The decay rates are
    raised to the power `lazy_ratio`, so that the moments forget at the same speed per
    step as without it.
    """
    placement = (
        e.training.adam_epsilon_placement or OFFICIAL[e.model.family].epsilon_placement
    )
    return {
        network: optax.chain(
            scale_by_adam(
                e.training.adam_beta1 ** lazy_ratio(e, network),
                e.training.adam_beta2 ** lazy_ratio(e, network),
                e.training.adam_epsilon,
                placement,
            ),
            optax.scale(relative_learning_rate(e, network)),
        )
        for network in (GENERATOR, DISCRIMINATOR)
    }


def lazy_ratio(e: Experiment, network: str) -> float:
    """Return the number of steps divided by the number of updates of a network.

    This is k / (k + 1) for a network that is regularized at every k-th step, and 1 for
    a network without lazy regularization.

    Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of
    StyleGAN", appendix B ("Lazy regularization").
    """
    t = e.training
    k = t.g_reg_interval if network == GENERATOR else t.d_reg_interval
    return k / (k + 1) if k else 1.0


def relative_learning_rate(e: Experiment, network: str) -> float:
    """Return a network's learning rate as a multiple of the schedule's."""
    t, ratio = e.training, lazy_ratio(e, network)
    if network == DISCRIMINATOR and t.discriminator_learning_rate is not None:
        ratio *= t.discriminator_learning_rate / t.learning_rate
    return ratio


def scale_by_adam(
    beta1: float, beta2: float, epsilon: float, epsilon_placement: str
) -> optax.GradientTransformation:
    """Return Adam with epsilon where TensorFlow or PyTorch puts it.

    The first moment is not stored if `beta1` is 0.

    Args:
      beta1: decay rate of the first moment.
      beta2: decay rate of the second moment.
      epsilon: added to the root of the second moment.
      epsilon_placement: "tensorflow" or "pytorch", see the module's docstring.

    Raises:
      ValueError: if the placement is neither.
    """
    match epsilon_placement:
        case "tensorflow":
            return scale_by_tensorflow_adam(beta1, beta2, epsilon)
        case "pytorch" if beta1 == 0:
            return optax.scale_by_rms(
                beta2, epsilon, eps_in_sqrt=False, bias_correction=True
            )
        case "pytorch":
            return optax.scale_by_adam(beta1, beta2, epsilon)
        case _:
            raise ValueError(
                f"the placement of Adam's epsilon (={epsilon_placement!r}) must be "
                "'tensorflow' or 'pytorch'"
            )


class TensorFlowAdamState(NamedTuple):
    """State of `scale_by_tensorflow_adam`.

    Attributes:
      count: int32 [], updates so far.
      mu: first moment of the gradients, float32; None if beta1 is 0.
      nu: second moment of the gradients, float32.
    """

    count: jax.Array
    mu: optax.Updates | None
    nu: optax.Updates


def scale_by_tensorflow_adam(
    beta1: float, beta2: float, epsilon: float
) -> optax.GradientTransformation:
    """Return Adam with epsilon added to the root before its bias is corrected.

    Args:
      beta1: decay rate of the first moment, which is not stored if this is 0.
      beta2: decay rate of the second moment.
      epsilon: "epsilon hat" of the paper.

    Reference: Kingma and Ba 2015, "Adam", end of section 2.
    """

    def init(params: optax.Params) -> TensorFlowAdamState:
        mu = optax.tree.zeros_like(params) if beta1 else None
        count = jnp.zeros((), jnp.int32)
        return TensorFlowAdamState(count, mu, optax.tree.zeros_like(params))

    def update(
        gradients: optax.Updates,
        state: TensorFlowAdamState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, TensorFlowAdamState]:
        del params
        count = state.count + 1
        t = count.astype(jnp.float32)
        correction = jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
        mu = gradients
        if beta1:
            mu = optax.tree.update_moment(gradients, state.mu, beta1, 1)
        nu = optax.tree.update_moment(gradients, state.nu, beta2, 2)
        updates = jax.tree.map(
            lambda m, v: correction * m / (jnp.sqrt(v) + epsilon), mu, nu
        )
        return updates, TensorFlowAdamState(count, mu if beta1 else None, nu)

    return optax.GradientTransformation(init, update)
