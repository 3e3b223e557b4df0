"""Warnings of an overfitting discriminator."""

from stylegan_jax.config import Training
from stylegan_jax.training.overfitting import OverfittingWatch


def warnings(probabilities, **settings):
    watch = OverfittingWatch(Training(augment="bgc", **settings))
    return [watch.warning(p) for p in probabilities]


def test_a_probability_that_stays_at_its_maximum_is_told_once():
    float32 = 0.699999988079071  # the number that the state holds
    given = [0.5, float32, float32, float32, 0.6, float32, float32]
    found = warnings(given, augment_p_max=0.7)
    told = [text is not None for text in found]
    assert told == [False, False, True, False, False, False, True]
    assert "stays at 0.70" in found[2] and "`training.transfer`" in found[2]


def test_without_a_maximum_certainty_is_the_limit():
    assert [w is not None for w in warnings([0.9, 0.99, 1.0, 1.02])] == [False] * 3 + [
        True
    ]


def test_a_constant_probability_is_what_the_user_wants():
    assert warnings([1.0] * 4, augment_probability=1.0) == [None] * 4
