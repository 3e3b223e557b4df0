"""Mutations of the augmentations and of the control of their probability."""

from tests.mutations.mutation import (
    LOSSES,
    OBJECTIVES,
    PHASES,
    STEP,
    TRANSFORMS,
    Mutation,
    mutations,
)

CONTROLLER, DIFF = "augment/controller.py", "augment/diffaugment.py"
CONTROL = "augment/test_controller"

MUTATIONS: tuple[Mutation, ...] = (
    *mutations(
        "augmentation",
        (
            "augmentation-policy-of-other-transforms",
            "augment/policies.py",
            '"bg": Policy.of(*PIXEL, *AFFINE),',
            '"bg": Policy.of(*PIXEL, *COLOR),',
            "augment/test_policies",
        ),
        (
            "augmentation-probability-of-the-settings",
            PHASES,
            "key, probability = inputs.key(stream), inputs.state.augment_probability",
            "key, probability = inputs.key(stream), self._training.augment_probability",
            OBJECTIVES,
        ),
        (
            "augmentation-probability-ignored",
            TRANSFORMS,
            "rate = jnp.clip(policy.multiplier(name) * probability, 0, 1)",
            "rate = jnp.clip(policy.multiplier(name) + 0 * probability, 0, 1)",
            "augment/test_transforms",
        ),
        (
            "augmentation-rotates-too-often",
            TRANSFORMS,
            "rate = 1 - jnp.sqrt(1 - rate)",
            "rate = rate",
            "augment/test_transforms",
        ),
        (
            "augmentation-gates-of-the-values",
            TRANSFORMS,
            "gates[name] = jax.random.uniform(of_gate, shape[:1] + bands)",
            "gates[name] = jax.random.uniform(of_value, shape[:1] + bands)",
            "augment/test_transforms",
        ),
        (
            "augmentation-one-gate-for-the-batch",
            TRANSFORMS,
            "gates[name] = jax.random.uniform(of_gate, shape[:1] + bands)",
            "gates[name] = jnp.broadcast_to("
            "jax.random.uniform(of_gate, (1, *bands)), shape[:1] + bands)",
            "augment/test_transforms",
        ),
    ),
    *mutations(
        "adaptive augmentation",
        (
            "ada-falls-when-it-should-rise",
            CONTROLLER,
            "jnp.sign(r_t - self.target)",
            "jnp.sign(self.target - r_t)",
            CONTROL,
        ),
        (
            "ada-sum-of-signs-for-their-mean",
            CONTROLLER,
            "r_t = signs[0] / signs[1]",
            "r_t = signs[0]",
            CONTROL,
        ),
        (
            "ada-step-of-one-minibatch",
            CONTROLLER,
            "step = batch_size * INTERVAL / (self.speed_kimg * 1000)",
            "step = batch_size / (self.speed_kimg * 1000)",
            CONTROL,
        ),
        (
            "ada-stops-at-one",
            CONTROLLER,
            "return jnp.clip(moved, 0.0, self.maximum)",
            "return jnp.clip(moved, 0.0, self.maximum or 1.0)",
            CONTROL,
        ),
        (
            "ada-signs-are-never-reset",
            CONTROLLER,
            "jnp.where(is_due, jnp.zeros(2), signs),",
            "signs,",
            CONTROL,
        ),
        (
            "ada-scores-for-signs",
            CONTROLLER,
            "jnp.sum(jnp.sign(scores))",
            "jnp.sum(scores)",
            CONTROL,
        ),
        (
            "ada-adjusted-in-every-phase",
            STEP,
            "        if index == 0:\n            probability",
            "        if True:\n            probability",
            "training/test_step_updates",
        ),
        (
            "ada-signs-of-lazy-r1-left-out",
            PHASES,
            'LossAux({"r1_penalty": penalty}, self._count_signs(inputs, scores))',
            'LossAux({"r1_penalty": penalty}, {})',
            OBJECTIVES,
        ),
    ),
    *mutations(
        "other remedies for few images",
        (
            "lecam-averages-of-the-same-set",
            LOSSES,
            "above = jnp.maximum(real - mean_fake, 0.0)",
            "above = jnp.maximum(real - mean_real, 0.0)",
            OBJECTIVES,
        ),
        (
            "lecam-averages-biased-towards-zero",
            LOSSES,
            "mean_real, mean_fake = means[:2] / means[2]",
            "mean_real, mean_fake = means[:2]",
            OBJECTIVES,
        ),
        (
            "relativistic-loss-of-the-other-sign",
            LOSSES,
            "return jax.nn.softplus(fake - real)",
            "return jax.nn.softplus(real - fake)",
            OBJECTIVES,
        ),
        (
            "pseudo-reals-in-place-of-the-others",
            PHASES,
            "return jnp.where(replaced, jax.lax.stop_gradient(fakes), inputs.reals)",
            "return jnp.where(replaced, inputs.reals, jax.lax.stop_gradient(fakes))",
            OBJECTIVES,
        ),
        (
            "pseudo-reals-of-the-fakes-latents",
            PHASES,
            "inputs.key(stream), Stream.PSEUDO_REALS\n",
            "inputs.key(stream), 0\n",
            OBJECTIVES,
        ),
        (
            "diffaugment-saturation-of-half-the-range",
            DIFF,
            "color = (color - gray) * (2 * saturation) + gray",
            "color = (color - gray) * (saturation + 0.5) + gray",
            "augment/test_diffaugment",
        ),
        (
            "power-average-of-another-exponent",
            "training/power_ema.py",
            "** (gamma + 1)",
            "** gamma",
            "training/test_power_ema",
        ),
        (
            "power-averages-of-swapped-exponents",
            "training/power_ema.py",
            "np.where(time_a < time_b, gamma_b, -gamma_a)",
            "np.where(time_a < time_b, gamma_a, -gamma_b)",
            "training/test_power_ema",
        ),
    ),
)
