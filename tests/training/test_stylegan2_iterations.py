"""Whole iterations of StyleGAN2 by the training step, compared with the official code.

They cover lazy regularization with its corrected Adam, accumulation, the averages of
path length and w, and the averaged generator with its ramp-up.
"""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest

from stylegan_jax import config, interop
from stylegan_jax.runtime import parallel
from stylegan_jax.training import optimizer, setup, state, step
from stylegan_jax.training.phases import build_phases
from tests import goldens, tiny
from tests.training.replay import PHASES, SOURCE, Recording, tape_for

# Relative. Rounding errors grow from 1e-6 to 1e-4 within five iterations.
REPORTS = 5e-4
# Adam with beta1 = 0 turns every gradient, however tiny, into a step of about the
# learning rate, so that rounding decides where the gradient is nearly zero. All but a
# share OUTLIERS of the parameters must agree within MOVE times the largest movement; a
# wrong learning rate or average would displace most of them.
MOVE, OUTLIERS = 0.02, 1e-2


def contiguous_to_strided(x: np.ndarray, rounds: int) -> np.ndarray:
    """Reorder blocks of rows, one per round, so that round r has rows r::rounds."""
    return (
        x.reshape(rounds, len(x) // rounds, *x.shape[1:])
        .swapaxes(0, 1)
        .reshape(x.shape)
    )


def pack_labels(recording, tape, iteration: int, phase: str) -> np.ndarray:
    """Pack the numbers that a phase draws, with one block of rows per round."""
    arrays, batch = recording.arrays, recording.batch
    rounds = batch // recording.settings["batch_gpu"]
    index = list(PHASES).index(phase)
    recorded = goldens.below(arrays, f"in/it{iteration}/")
    nothing = np.zeros((batch, 0))
    split = lambda x: x.reshape(rounds, len(x) // rounds, *x.shape[1:])  # noqa: E731
    columns = {
        "real_c": split(recorded.get("real_c", nothing)),
        "gen_c": split(recorded["gen_c"][index] if "gen_c" in recorded else nothing),
        "z": split(recorded["gen_z"][index]),
    }
    if phase == "Greg":
        columns["noise"] = recorded["pl_noise_raw"].transpose(0, 1, 3, 4, 2)
    if f"mix_{phase}_z" in recorded:
        layers = recording.num_ws
        mixes = recorded[f"mix_{phase}_u"] < 0.9
        cutoff = np.where(mixes, recorded[f"mix_{phase}_cutoff"], layers)
        columns["mix_z"] = recorded[f"mix_{phase}_z"]
        columns["cutoff"] = np.repeat(cutoff[:, None], batch // rounds, axis=1)
    packed = [
        tape.pack(batch // rounds, **{k: v[r] for k, v in columns.items()})
        for r in range(rounds)
    ]
    return np.concatenate(packed)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("D4_train_uncond", marks=pytest.mark.slow),
        "D5_train_cond_mix_2rounds",
    ],
)
def test_official_iterations(name, monkeypatch):
    recording = Recording(name)
    settings, arrays = recording.settings, recording.arrays
    batch = recording.batch
    rounds = batch // settings["batch_gpu"]
    e = recording.experiment(
        learning_rate=settings["lr_g"],
        discriminator_learning_rate=settings["lr_d"],
        accumulation_rounds=rounds,
        # The official code adds the gradients of the rounds; ours averages them.
        adam_epsilon=settings["adam"]["eps"] / rounds,
        d_reg_interval=settings["D_reg_interval"],
        g_reg_interval=settings["G_reg_interval"],
        ema_half_life_kimg=settings["ema_kimg"],
        ema_rampup=settings["ema_rampup"] or 0.0,
    )
    (g, g_vars), (d, d_vars) = networks = recording.networks(e)
    tape = tape_for(monkeypatch, recording)
    training = setup.build(e, parallel.data_parallel(), recording.label_size)
    assert training.phase_names == list(PHASES.values())
    real_phases = build_phases(e, *tape.networks(g, d))
    phases = tuple(tape.replay(p) for p in real_phases)
    training = dataclasses.replace(training, phases=phases)
    (stage,) = training.stages
    updates = [
        jax.jit(step.build_update(training, i, stage)) for i in range(len(phases))
    ]
    current = recording.state(networks, training.optimizers, training.phase_names)
    t = e.training
    for iteration in range(settings["iters"]):
        reports, beta = {}, step.ema_beta(e, batch, int(current.images_seen))
        for i, (official, phase) in enumerate(zip(PHASES, phases, strict=True)):
            if iteration % phase.interval:
                continue
            images, labels = (
                contiguous_to_strided(x, rounds)
                for x in (
                    recording.images(f"in/it{iteration}/"),
                    pack_labels(recording, tape, iteration, official),
                )
            )
            with tiny.quick_compilation():
                current, scalars = updates[i](
                    current, images, labels, 1.0, t.learning_rate
                )
            reports |= scalars
        expected = goldens.below(arrays, f"out/it{iteration}/")
        factors = {  # official report -> ours, and its factor
            "Gmain/G/loss": ("g_main/loss", 1),
            "Greg/G/reg": ("g_path/penalty", t.path_length_weight),
            "Dmain/D/loss": ("d_main/loss", 1),
            "Dreg/D/reg": ("d_r1/r1_penalty", t.r1_gamma / 2),
        }
        for key, (ours, factor) in factors.items():
            assert (key in expected) == (ours in reports)
            if key in expected:
                np.testing.assert_allclose(
                    factor * reports[ours], expected[key].mean(), REPORTS, err_msg=key
                )
        np.testing.assert_allclose(
            current.path_length_mean, expected["pl_mean"], REPORTS
        )
        np.testing.assert_allclose(beta, expected["ema_beta"], 1e-6, 1e-12)
        if iteration + 1 not in settings["snaps"]:
            continue
        after = {
            "G": (g, current.generator_variables(current.params[state.GENERATOR])),
            "D": (d, {"params": current.params[state.DISCRIMINATOR]}),
            "G_ema": (g, current.ema),
        }
        for net, (model, variables) in after.items():
            ours = interop.to_official(model, variables, SOURCE)
            before = goldens.below(arrays, f"param{net[0]}/")
            expected = goldens.below(arrays, f"after{iteration + 1}/{net}/")
            assert len(expected) > 15
            if net != "D":
                w_avg = expected.pop("mapping.w_avg")
                goldens.assert_close(ours["mapping.w_avg"], w_avg, 1e-4)
            moves = {k: np.abs(v - before[k]) for k, v in expected.items()}
            allowed = MOVE * max(np.max(move) for move in moves.values())
            outliers = sum(
                # Mapping weights are about 100, which scales their rounding.
                np.sum(np.abs(ours[k] - v) > allowed + 3e-7 * np.abs(v))
                for k, v in expected.items()
            )
            total = sum(v.size for v in expected.values())
            moved = sum(np.sum(move > 5 * allowed) for move in moves.values())
            assert outliers <= OUTLIERS * total, (net, iteration, outliers, total)
            assert moved > total / 2, (net, iteration, moved, total)
    assert int(current.step) == settings["iters"]
    assert int(current.images_seen) == settings["iters"] * batch


def test_official_ema_schedule():
    path = goldens.path("stylegan2_and_3/D6_ema_beta_schedule.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 32
    for row in rows:
        rampup = float(row["ema_rampup"] or 0)
        kimg = float(row["ema_kimg"])
        e = config.Experiment(
            training=config.Training(ema_half_life_kimg=kimg, ema_rampup=rampup)
        )
        batch, seen = int(row["batch_size"]), int(row["cur_nimg_before_increment"])
        beta = step.ema_beta(e, batch, np.int32(seen))
        np.testing.assert_allclose(beta, float(row["ema_beta"]), 2e-6, 1e-12)


def test_official_lazy_adam():
    path = goldens.path("stylegan2_and_3/D7_lazy_regularization.json")
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 4
    for row in rows:
        is_g = row["net"] == "G"
        beta1, beta2 = row["base_betas"]
        e = config.Experiment(
            training=config.Training(
                # The interval of the other network must not matter.
                **{"d_reg_interval" if is_g else "g_reg_interval": 7},
                **{"g_reg_interval" if is_g else "d_reg_interval": row["reg_interval"]},
                learning_rate=row["base_lr"] if is_g else 0.123,
                discriminator_learning_rate=0.123 if is_g else row["base_lr"],
                adam_beta1=beta1,
                adam_beta2=beta2,
            )
        )
        network = state.GENERATOR if is_g else state.DISCRIMINATOR
        assert optimizer.lazy_ratio(e, network) == pytest.approx(row["mb_ratio"])
        relative = optimizer.relative_learning_rate(e, network)
        rate = e.training.learning_rate * relative
        assert rate == pytest.approx(row["effective_lr"])
        adam = optimizer.build_optimizers(e)[network]
        _, (moments, _) = adam.update(np.ones(1), adam.init(np.zeros(1)))
        assert moments.mu is None  # beta1 stays zero
        effective = 1 - float(moments.nu[0])
        assert effective == pytest.approx(row["effective_betas"][1], rel=1e-6)
