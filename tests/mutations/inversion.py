"""Wrong projections: their schedule, and the regularization of noise maps."""

from tests.mutations.mutation import Mutation, mutations

SCHEDULE, MAPS = "inversion/schedule.py", "inversion/noise_maps.py"
TEST = "inversion/test_schedule"

MUTATIONS: tuple[Mutation, ...] = (
    *mutations(
        "projection",
        (
            "projection-noise-of-w-falls-linearly",
            SCHEDULE,
            "jnp.square(jnp.maximum(0.0, 1.0 - t / NOISE_RAMP))",
            "jnp.maximum(0.0, 1.0 - t / NOISE_RAMP)",
            TEST,
        ),
        (
            "projection-learning-rate-starts-at-its-largest",
            SCHEDULE,
            "return largest * ramp * jnp.minimum(1.0, t / RAMP_UP)",
            "return largest * ramp",
            TEST,
        ),
        (
            "projection-learning-rate-falls-linearly",
            SCHEDULE,
            "    ramp = 0.5 - 0.5 * jnp.cos(ramp * jnp.pi)\n",
            "",
            TEST,
        ),
        (
            "projection-view-turned-the-other-way",
            "sampling/transform.py",
            "(cos, -sin, sin * y - cos * x),",
            "(cos, sin, sin * y - cos * x),",
            "inversion/test_view",
        ),
    ),
)
