"""All mutations, in files by what they get wrong."""

from tests.mutations import augmentation, clock, layers, objectives, updates

MUTATIONS = (
    *updates.MUTATIONS,
    *objectives.MUTATIONS,
    *augmentation.MUTATIONS,
    *clock.MUTATIONS,
    *layers.MUTATIONS,
)
