"""All mutations, in files by what they get wrong."""

from tests.mutations import clock, layers, objectives, updates

MUTATIONS = (
    *updates.MUTATIONS,
    *objectives.MUTATIONS,
    *clock.MUTATIONS,
    *layers.MUTATIONS,
)
