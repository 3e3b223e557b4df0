"""All mutations, in files by what they get wrong."""

from tests.mutations import (
    augmentation,
    clock,
    inversion,
    layers,
    objectives,
    stylegan3,
    styles,
    updates,
)

MUTATIONS = (
    *updates.MUTATIONS,
    *objectives.MUTATIONS,
    *styles.MUTATIONS,
    *augmentation.MUTATIONS,
    *clock.MUTATIONS,
    *layers.MUTATIONS,
    *stylegan3.MUTATIONS,
    *inversion.MUTATIONS,
)
