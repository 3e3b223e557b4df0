"""Control of the augmentation probability, compared with the official trajectory."""

import csv
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.augment import controller
from stylegan_jax.augment.controller import Adaptive, Scheduled
from stylegan_jax.config import Training
from tests import goldens


def rows_by_start():
    path = goldens.path("stylegan2_and_3/E8_ada_p_trajectory.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    groups = itertools.groupby(rows, lambda row: float(row["start_p"]))
    return {start: list(group) for start, group in groups}


@pytest.mark.parametrize("start", [0.0, 0.9992])
def test_adaptive_probability_follows_the_official_one(start):
    probability = jnp.float32(start)
    rows = rows_by_start()[start]
    for row in rows:
        batch = int(row["batch_size"])
        assert int(row["ada_interval"]) == controller.INTERVAL
        control = Adaptive(float(row["target"]), float(row["ada_kimg"]))
        count = 8 * batch
        signs = jnp.array([float(row["mean_sign_real"]) * count, count], jnp.float32)
        probability = control.adjust(probability, signs, batch)
        np.testing.assert_allclose(probability, float(row["p_after"]), 0, 2e-7)
    assert len(rows) == 40
    if start:
        assert max(float(row["p_after"]) for row in rows) > 1  # and is not clipped


def test_adaptive_probability_stays_below_its_maximum():
    control = Adaptive(speed_kimg=0.1, maximum=0.85)
    probability = jnp.float32(0.8)
    for _ in range(3):
        probability = control.adjust(probability, jnp.array([4.0, 4.0]), 8)
    assert probability == np.float32(0.85)


def test_steps_count_scores_between_adjustments():
    control = Adaptive(target=0.5, speed_kimg=1.0)
    signs = jnp.array([6.0, 8.0])
    for step in range(1, 9):
        probability, left = control.at_step(
            jnp.int32(step), jnp.int32(0), 16, jnp.float32(0.1), signs
        )
        due = step % 4 == 0
        moved = 0.1 + 16 * 4 / 1000 * due
        np.testing.assert_allclose(probability, moved, 1e-6)
        np.testing.assert_array_equal(left, signs * (not due))
    # Without scores, as at the first step, nothing changes.
    probability, _ = control.at_step(
        jnp.int32(0), jnp.int32(0), 16, jnp.float32(0.1), jnp.zeros(2)
    )
    assert probability == np.float32(0.1)


def test_scheduled_probability_rises_along_half_a_cosine():
    control = Scheduled(0.3, rampup_kimg=2.0)
    assert control.initial == 0
    expected = {0: 0, 500: 0.3 * (1 - np.cos(np.pi / 4)) / 2, 1000: 0.15, 2000: 0.3}
    for images, wanted in (expected | {9000: 0.3}).items():
        probability, _ = jax.jit(control.at_step, static_argnums=2)(
            jnp.int32(1), jnp.int32(images), 8, jnp.float32(7), jnp.zeros(2)
        )
        np.testing.assert_allclose(probability, wanted, 1e-6, 1e-7)
    constant = Scheduled(0.3)
    assert constant.initial == 0.3
    probability, _ = constant.at_step(
        jnp.int32(1), jnp.int32(0), 8, jnp.float32(0.3), jnp.zeros(2)
    )
    assert probability == np.float32(0.3)


def test_settings_choose_the_control():
    chosen = controller.from_config
    assert chosen(Training()) == Scheduled(0.0)
    assert chosen(Training(augment="bgc", augment_probability=0.2)) == Scheduled(0.2)
    ramped = Training(augment="b", augment_probability=0.2, augment_rampup_kimg=3.0)
    assert chosen(ramped) == Scheduled(0.2, 3.0)
    always = Training(augment="color,translation,cutout")
    assert chosen(always) == Scheduled(1.0)  # as in the paper of DiffAugment
    assert chosen(Training(augment="cutout", augment_probability=0.3)) == Scheduled(0.3)
    assert chosen(Training(augment="bgc")) == Adaptive(0.6, 500.0, None)
    assert chosen(Training(augment="bgc", transfer="runs/a")) == Adaptive(0.6, 100.0)
    full = Training(
        augment="bgc",
        augment_target=0.0,
        augment_speed_kimg=50.0,
        augment_p_max=0.85,
        transfer="runs/a",
    )
    assert chosen(full) == Adaptive(0.0, 50.0, 0.85)


def test_score_signs():
    signs = controller.score_signs(jnp.array([-2.0, 0.0, 0.5, 3.0, 1e-9]))
    np.testing.assert_array_equal(signs, [2.0, 5.0])
