"""The augmentations of an experiment: its settings, and where they are applied."""

import jax
import pytest

from stylegan_jax import config
from stylegan_jax.augment import transforms
from stylegan_jax.augment.policies import POLICIES, Policy
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import phases, setup
from tests import tiny

AUGMENTED = tiny.STYLEGAN2 | {
    "training.augment": "bg",
    "training.augment_probability": 0.25,
}
REALS, FAKES, BETWEEN = (
    Stream.AUGMENT_REALS,
    Stream.AUGMENT_FAKES,
    Stream.AUGMENT_BETWEEN,
)


@pytest.mark.parametrize(
    ("changes", "streams"),
    [
        ({}, {"g_main": [FAKES], "d_main": [REALS, FAKES], "d_r1": [REALS]}),
        (
            {
                "training.loss": "wgan",
                "training.d_reg_interval": 0,
                "training.path_length_weight": 0.0,
            },
            {"g_main": [FAKES], "d_main": [REALS, FAKES, BETWEEN]},
        ),
    ],
)
def test_every_batch_is_augmented_with_its_own_key(changes, streams, monkeypatch):
    """All images that the discriminator sees are augmented, in every phase."""
    e = tiny.experiment(AUGMENTED | changes)
    streams_used, probabilities = [], []

    def augmented(stream, images, probability, policy):
        assert policy == POLICIES["bg"]
        streams_used.append(stream)
        probabilities.append(probability)
        return images

    monkeypatch.setattr(transforms, "augment", augmented)
    training = setup.build(e, parallel.local())
    start = training.abstract_state
    for phase in training.phases:
        streams_used.clear()

        def objective(start, reals, phase=phase):
            inputs = phases.Inputs(
                state=start,
                reals=reals,
                labels=None,
                lod=LevelOfDetail(8),
                key=lambda s: s if s >= REALS else jax.random.key(s),
                shard_batch=lambda x: x,
                padded_rows=lambda rows: rows,
            )
            loss, _ = phase.objective(start.params[phase.network], inputs)
            assert len(probabilities) == len(streams.get(phase.name, []))
            assert all(p is start.augment_probability for p in probabilities)
            probabilities.clear()
            return loss

        jax.eval_shape(objective, start, jax.ShapeDtypeStruct((8, 8, 8, 3), "float32"))
        assert streams_used == streams.get(phase.name, [])


SKIP = {
    "data.resolution": 16,
    "model.family": "stylegan2",
    "model.g_architecture": "skip",
    "model.d_architecture": "resnet",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training.augment_probability": 0.1},
            "`training.augment` is 'none'; choose augmentations, such as 'bgc'",
        ),
        (
            {"training.augment_target": 0.5},
            r"augment_target` \(=0.5\) has no effect because `training.augment` is",
        ),
        (
            {
                "training.augment": "bgc",
                "training.augment_probability": 0.2,
                "training.augment_target": 0.5,
            },
            r"augment_probability` \(=0.2\) is constant; set it to 0",
        ),
        (
            {"training.augment": "cutout", "training.augment_target": 0.5},
            "the transforms of DiffAugment are then always applied",
        ),
        (
            {
                "training.augment": "bgc",
                "training.loss": "relativistic",
                "training.r2_gamma": 1.0,
            },
            "cannot adapt its probability .* is 'relativistic'",
        ),
        (
            {"training.augment": "bgc", "training.augment_rampup_kimg": 5.0},
            "set it to the final value of the ramp",
        ),
        (
            {"training.augment": "bgc", "training.augment_p_max": 1.5},
            r"augment_p_max` \(=1.5\) must lie in \[0, 1\]",
        ),
        (
            {"training.augment": "bg", "training.augment_probability": 1.5},
            r"augment_probability` \(=1.5\) must lie in \[0, 1\]",
        ),
        (
            {"training.augment": "bgcf", "training.augment_probability": 0.5},
            "of at least 22 pixels; the images have 16; try 'bgc'",
        ),
        ({"training.augment": "cut"}, "augment` .* must be one of"),
        (
            {
                "training.augment": "bg",
                "training.augment_probability": 0.5,
                "model.family": "stylegan1",
                "model.g_architecture": "growing",
                "model.d_architecture": "growing",
            },
            "must be 'none' for growing networks",
        ),
    ],
)
def test_invalid_settings_are_rejected(changes, message):
    with pytest.raises(config.ConfigError, match=message):
        tiny.experiment(SKIP | changes)


def test_every_policy_can_be_configured():
    for name, policy in POLICIES.items():
        probability = float(policy != Policy())
        changes = {
            "data.resolution": 32,
            "training.augment": name,
            "training.augment_probability": probability,
        }
        tiny.experiment(SKIP | changes)
    fields = {name: field for name, field, _ in config.fields(config.Experiment())}
    choices = fields["training.augment"].metadata["choices"]
    assert set(POLICIES) == set(choices)
