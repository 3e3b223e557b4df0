"""All mutations, in files by what they get wrong."""

from tests.mutations import augmentation, clock, layers, objectives, styles, updates

MUTATIONS = (
    *updates.MUTATIONS,
    *objectives.MUTATIONS,
    *styles.MUTATIONS,
    *augmentation.MUTATIONS,
    *clock.MUTATIONS,
    *layers.MUTATIONS,
)
