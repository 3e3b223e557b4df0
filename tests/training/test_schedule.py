"""The schedule, compared with the official one, and its invariants."""

import csv
import json

import pytest

from stylegan_jax import config
from stylegan_jax.training import schedule
from tests import goldens


def ffhq1024(gpus: str) -> config.Experiment:
    """Return the official settings for a number of GPUs, from the golden file."""
    path = goldens.path("stylegan1/schedule_ffhq1024.json")
    official = json.loads(path.read_text())["configs"][gpus]
    sched = official["sched"]
    assert sched["G_lrate_dict"] == sched["D_lrate_dict"]

    def pairs(table):
        return tuple((int(resolution), value) for resolution, value in table.items())

    ticks = {4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40, 512: 30}
    return config.parse(
        {
            "training": {
                "total_kimg": official["total_kimg"],
                "initial_resolution": sched["lod_initial_resolution"],
                "batch_size": sched["minibatch_base"],
                "batch_size_by_resolution": pairs(sched["minibatch_dict"]),
                "learning_rate_by_resolution": pairs(sched["G_lrate_dict"]),
            },
            "run": {
                "tick_kimg_by_resolution": tuple(ticks.items()),
                "tick_kimg": 20.0,
            },
        }
    )


@pytest.mark.parametrize("gpus", ["1", "2", "4", "8"])
def test_every_row_of_the_official_schedule(gpus):
    e = ffhq1024(gpus)
    path = goldens.path("stylegan1/schedule_ffhq1024.csv")
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["num_gpus"] == gpus]
    assert len(rows) > 100
    for row in rows:
        images = int(row["cur_nimg"])
        lod = schedule.level_of_detail(e, images)
        assert lod == pytest.approx(float(row["lod"]), abs=1e-9), row
        resolution = e.data.resolution >> int(lod)
        assert resolution == int(row["resolution"]), row
        t = e.training
        batch = config.by_resolution(
            t.batch_size_by_resolution, resolution, t.batch_size
        )
        assert batch == int(row["minibatch"]), row
        rate = config.by_resolution(
            t.learning_rate_by_resolution, resolution, t.learning_rate
        )
        assert rate == float(row["G_lrate"]) == float(row["D_lrate"]), row
        tick = config.by_resolution(
            e.run.tick_kimg_by_resolution, resolution, e.run.tick_kimg
        )
        assert tick == float(row["tick_kimg"]), row


@pytest.mark.parametrize("gpus", ["1", "2", "4", "8"])
def test_stages_match_the_official_loop(gpus):
    """Stages begin where the official loop changes its schedule and resets Adam."""
    path = goldens.path("stylegan1/schedule_ffhq1024.json")
    simulated = json.loads(path.read_text())["loop_simulation"].get(f"{gpus}gpu")
    if simulated is None:
        pytest.skip(f"no simulation for {gpus} GPUs in the golden file")
    e = ffhq1024(gpus)
    stages = schedule.build_stages(e)
    events = simulated["events"]
    assert [s.start_images for s in stages] == [v["cur_nimg"] for v in events]
    for stage, event in zip(stages, events, strict=True):
        assert stage.resolution == event["resolution"]
        assert stage.batch_size == event["minibatch"]
        assert stage.fading == (event["lod"] != int(event["lod"]))
        lod = event["lod"]
        assert stage.fade(stage.start_images) == pytest.approx(1 - lod + int(lod))
        rate = schedule.learning_rate(e, stage, stage.start_images)
        assert rate == event["G_lrate"]
        assert event["optimizer_reset"]
    assert [s.end_images for s in stages[:-1]] == [s.start_images for s in stages[1:]]
    if gpus == "8":
        assert len(stages) == 15
    rounds = sum(
        (s.end_images - s.start_images) // (s.batch_size * s.steps_per_round)
        for s in stages
    )
    assert rounds * e.training.steps_per_round == pytest.approx(
        simulated["outer_iterations"] * 4
    )


def experiment(**training) -> config.Experiment:
    return config.parse(
        {
            "data": {"resolution": 16},
            "training": {
                "initial_resolution": 4,
                "batch_size": 8,
                "steps_per_round": 2,
                "stage_kimg": 0.1,
                "fade_kimg": 0.05,
                "total_kimg": 1.0,
            }
            | training,
        }
    )


def test_fades_rise_from_zero_to_one():
    for stage in schedule.build_stages(experiment()):
        step = stage.batch_size * stage.steps_per_round
        fades = [
            stage.fade(i) for i in range(stage.start_images, stage.end_images, step)
        ]
        if stage.fading:
            assert fades == sorted(fades)
            assert 0 < fades[0] < 0.5 < fades[-1] < 1
        else:
            assert set(fades) == {1.0}
        assert stage.fade(stage.end_images) > 0 or not stage.fading


def test_without_fading_or_growing():
    stages = schedule.build_stages(experiment(fade_kimg=0.0))
    assert [(s.resolution, s.fading) for s in stages] == [
        (4, False),
        (8, False),
        (16, False),
    ]
    (only,) = schedule.build_stages(experiment(initial_resolution=16))
    assert (only.start_images, only.end_images) == (0, 1008)  # whole rounds
    assert only.fade(500) == 1.0


def test_short_run_has_only_the_stages_that_it_reaches():
    assert len(schedule.build_stages(experiment(total_kimg=0.05))) == 1
    assert schedule.build_stages(experiment(total_kimg=0.001))[0].end_images == 16


def test_learning_rate_ramps_up():
    e = experiment(learning_rate_rampup_kimg=0.5, learning_rate=0.4)
    stage = schedule.build_stages(e)[0]
    assert schedule.learning_rate(e, stage, 250) == pytest.approx(0.2)
    assert schedule.learning_rate(e, stage, 900) == pytest.approx(0.4)
