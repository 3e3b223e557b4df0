"""Nothing that is learned depends on the number of devices.

Run as a program (`python -m tests.runtime.test_parallel DEVICES DIRECTORY NAMES`) it is
the worker of its own tests, for the number of devices is fixed when JAX starts.
"""

import functools
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from stylegan_jax import config, rngs
from stylegan_jax.augment import transforms
from stylegan_jax.augment.policies import POLICIES
from stylegan_jax.runtime import parallel
from stylegan_jax.training import phases, schedule, setup
from stylegan_jax.training import state as train_state
from stylegan_jax.training.compilation import ProgramCache
from tests import goldens, tiny
from tests.goldens import below
from tests.parallel_runs import CONFIG, experiment, finish, flat, start

DEVICES = 8
BATCH_SIZE = 16
LABEL_SIZE = 3
ROUNDS, STEPS_PER_ROUND = 2, 2


def stylegan2(**training) -> config.Experiment:
    """Path lengths at every other step, in two rounds of accumulation."""
    scope: dict = {}
    exec(CONFIG, scope)
    c = scope["get_config"]()
    c.model.family = "stylegan2"
    c.model.g_architecture, c.model.d_architecture = "skip", "resnet"
    c.model.channel_base = 128
    c.training.update(
        batch_size=2 * BATCH_SIZE,
        accumulation_rounds=2,
        g_reg_interval=2,
        d_reg_interval=0,  # R1 is a part of d_main, without a program of its own
        path_length_weight=2.0,
        ema_rampup=0.05,
    )
    c.training.update(training)
    return config.parse(c)


def stylegan3() -> config.Experiment:
    """The same with StyleGAN3, its moving averages and its blur."""
    scope: dict = {}
    exec(CONFIG, scope)
    c = scope["get_config"]()
    c.update_from_flattened_dict(tiny.STYLEGAN3)
    c.training.update(
        batch_size=2 * BATCH_SIZE, accumulation_rounds=2, d_reg_interval=2
    )
    return config.parse(c)


# Every path length takes four images, fewer than there are devices.
UNEVEN = "uneven"
EXPERIMENTS = {
    "stylegan1": experiment(batch_size=BATCH_SIZE, steps_per_round=STEPS_PER_ROUND),
    "stylegan2": stylegan2(augment="pseudo", augment_speed_kimg=0.5),
    "stylegan3": stylegan3(),
    UNEVEN: stylegan2(batch_size=8, accumulation_rounds=1),
}
PHASES = {
    "stylegan1": ("d_main", "g_main"),
    "stylegan2": ("g_main", "d_main"),
    "stylegan3": ("g_main", "d_main"),
    UNEVEN: ("g_path",),
}
FAMILIES = (
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("stylegan1", "stylegan3")
    ),
    "stylegan2",
)
QUICK = ("stylegan2", UNEVEN)  # the experiments that `make test` runs
STAGE = {"stylegan1": 1, "stylegan2": 0, "stylegan3": 0, UNEVEN: 0}
NETWORKS = {"d": "discriminator", "g": "generator"}


def worker(devices: int, out: Path, names: list[str]) -> None:
    """Train some EXPERIMENTS for a few steps; write all numbers, and the programs."""
    jax.config.update("jax_num_cpu_devices", devices)
    here = parallel.data_parallel()
    numbers = flat("draws", draws(here)) | flat("augment", augmented(here, out))
    states: dict[config.Model, train_state.TrainState] = {}
    for family in names:
        e, folder = EXPERIMENTS[family], out / family
        folder.mkdir(parents=True)
        training = setup.build(e, here, LABEL_SIZE)
        if e.model not in states:  # the program that creates one takes long to compile
            state = perturb_parameters(training.create_state())
            # Half of the reals are generated images.
            states[e.model] = state.replace(augment_probability=np.float32(0.5))
        stage = schedule.build_stages(e)[STAGE[family]]
        results = train_a_little(
            training, states[e.model], stage, PHASES[family], folder
        )
        numbers |= {f"{family}/{name}": value for name, value in results.items()}
    np.savez(out / "numbers.npz", **numbers)


def train_a_little(
    training: setup.Setup,
    start: train_state.TrainState,
    stage: schedule.Stage,
    names: tuple[str, ...],
    folder: Path,
) -> dict[str, np.ndarray]:
    here = training.parallel
    # Copied, because the programs write over the state that they are given.
    state = jax.device_put(jax.tree.map(np.array, start), training.state_shardings)
    phases = [phase for phase in training.phases if phase.name in names]
    programs = ProgramCache(training)
    numbers: dict[str, np.ndarray] = flat("start", state.params)
    random = np.random.RandomState(0)
    compiled = {
        name: programs.lower(stage, training.phase_names.index(name)).compile()
        for name in names
    }
    for name in names:
        flops = compiled[name].cost_analysis()["flops"]
        numbers[f"flops/{name}"] = np.asarray(flops)
        (folder / f"{name}.hlo").write_text(compiled[name].as_text())
    for i in range(ROUNDS * STEPS_PER_ROUND):
        fade = np.float32(0.2 + 0.4 * (i // STEPS_PER_ROUND))
        rate = np.float32(training.experiment.training.learning_rate)
        fade, rate = here.replicate((fade, rate))
        size = (stage.batch_size, stage.resolution, stage.resolution, 3)
        images = random.randint(0, 256, size).astype(np.uint8)
        labels = np.eye(LABEL_SIZE, dtype=np.float32)[
            random.randint(0, LABEL_SIZE, stage.batch_size)
        ]
        batch = here.put_batch((images, labels))
        for phase in phases:
            if i % phase.interval == 0:
                state, scalars = compiled[phase.name](state, *batch, fade, rate)
                numbers |= flat(f"scalars/{i}", scalars)
    programs.close()
    return numbers | flat("state", state)


def perturb_parameters(state: train_state.TrainState) -> train_state.TrainState:
    """Return a state of NumPy arrays with no gradient that is zero by construction.

    At the very start the generator's input is constant in space, so the instance norm
    after it removes the first bias: its gradient is zero but for rounding, and Adam
    makes a full step of any gradient, however small. (The 1 / sqrt(1e-8) of that
    instance norm also magnifies rounding ten thousand times.)
    """
    state = jax.tree.map(np.asarray, state)
    random = np.random.RandomState(1)
    params = jax.tree.map(
        lambda x: x + 0.5 * random.normal(size=x.shape).astype(x.dtype), state.params
    )
    if "const" in params["generator"].get("input", {}):
        const = params["generator"]["input"]["const"]
        params["generator"]["input"]["const"] = 2 * (const - 1)
    return state.replace(params=params)


def draws(here: parallel.Parallel) -> dict[str, jax.Array]:
    """Random numbers as the training step draws them, split over the devices."""

    def draw():
        def key(stream):
            return rngs.key(0, stream, 5, 1)

        return {
            "z": jax.random.normal(key(rngs.Stream.LATENT), (BATCH_SIZE, 8)),
            "noise": jax.random.normal(key(rngs.Stream.NOISE), (BATCH_SIZE, 8, 8, 1)),
            "mirror": jax.random.uniform(key(rngs.Stream.MIRROR), (BATCH_SIZE,)),
            "cutoff": phases.mixing_cutoff(
                key(rngs.Stream.MIXING_CUTOFF), BATCH_SIZE, 4, 0.9
            ),
        }

    return jax.jit(draw, out_shardings=here.batched)()


def augmented(here: parallel.Parallel, out: Path) -> dict[str, jax.Array]:
    """Augmented images and a gradient, split over the devices; writes the program."""

    def augment(images):
        key = rngs.key(0, rngs.Stream.AUGMENT_REALS, 5, 1)
        result, pull_back = jax.vjp(
            lambda x: transforms.augment(key, x, 0.8, POLICIES["bgc"]), images
        )
        return {"images": result, "gradient": pull_back(result)[0]}

    images = np.random.RandomState(1).normal(size=(BATCH_SIZE, 8, 8, 3))
    images = here.put_batch(images.astype(np.float32))
    compiled = here.jit_batched(augment).lower(images).compile()
    (out / "augment").mkdir(parents=True)
    (out / "augment" / "augment.hlo").write_text(compiled.as_text())
    return compiled(images)


Numbers = dict[int, dict[str, np.ndarray]]  # of a worker, by its number of devices


def numbers_of_workers(folder: Path, names: tuple[str, ...]) -> Numbers:
    """Run workers with one and with eight devices on some EXPERIMENTS."""
    command = [sys.executable, "-m", "tests.runtime.test_parallel"]
    running = [
        start([*command, str(n), str(folder / str(n)), *names], folder / f"{n}.log")
        for n in (1, DEVICES)
    ]
    finish(running)
    out = {}
    for n in (1, DEVICES):
        with np.load(folder / str(n) / "numbers.npz") as data:
            out[n] = dict(data)
        for path in (folder / str(n)).glob("*/*.hlo"):
            out[n][f"{path.parent.name}/hlo/{path.stem}"] = path.read_text()
    return out


@pytest.fixture(scope="module")
def one_and_eight(tmp_path_factory) -> Numbers:
    return numbers_of_workers(tmp_path_factory.mktemp("devices"), QUICK)


@pytest.fixture(scope="module")
def of_family(tmp_path_factory, request):
    """Return a function from a family to its numbers."""

    @functools.cache
    def numbers(family: str) -> Numbers:
        if family in QUICK:
            return request.getfixturevalue("one_and_eight")
        return numbers_of_workers(tmp_path_factory.mktemp("devices"), (family,))

    return lambda family: [
        below(numbers(family)[n], f"{family}/") for n in (1, DEVICES)
    ]


def test_random_draws_do_not_depend_on_the_number_of_devices(one_and_eight):
    one, eight = one_and_eight[1], one_and_eight[DEVICES]
    names = [name for name in one if name.startswith("draws/")]
    assert len(names) == 4
    for name in names:
        np.testing.assert_array_equal(one[name], eight[name], err_msg=name)
        assert len(np.unique(one[name])) > 2, name


def test_augmentation_does_not_depend_on_the_number_of_devices(one_and_eight):
    """Each device warps its own images, without any exchange."""
    one, eight = (below(one_and_eight[n], "augment/") for n in (1, DEVICES))
    assert collectives(eight.pop("hlo/augment")) == []
    for name in ("images", "gradient"):
        (found,) = (key for key in eight if name in key)
        goldens.assert_close(eight[found], one[found], 1e-6, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_does_not_depend_on_the_number_of_devices(of_family, family):
    one, eight = of_family(family)
    check_same(one, eight)
    if family == "stylegan2":
        # From these, the augmentation probability adapts.
        name = "state/.real_signs"
        np.testing.assert_array_equal(one[name], eight[name])
        assert one[name][1] == ROUNDS * STEPS_PER_ROUND * 2 * BATCH_SIZE


def check_same(
    one: dict[str, np.ndarray], eight: dict[str, np.ndarray], moving: str = ""
) -> None:
    """Compare two runs; parameters with `moving` in their names must have moved."""
    worst: dict[str, tuple[float, str]] = {}

    def check(kind: str, name: str, relative: float, allowed: float) -> None:
        worst[kind] = max(worst.get(kind, (0.0, "")), (relative, name))
        assert relative <= allowed, (name, relative)

    for name, value in one.items():
        if not name.startswith(("scalars/", "state/")):
            continue
        difference = eight[name] - value
        if name.startswith("scalars/"):
            # Means of scores and of their signs may be near zero by cancellation;
            # single ones are about 1.
            size = 1.0 if "score" in name or "sign" in name else abs(value)
            check("scalars", name, abs(difference) / size, 1e-5)
        elif np.any(difference):
            if ".optimizer" in name:  # squares, of which few hold most of the sum
                check("optimizer", name, rms(difference) / rms(value), 1e-5)
            else:
                check("params", name, np.max(np.abs(difference)) / rms(value), 1e-5)
    # A step is small beside a parameter, so hold the way gone to account too.
    for name, before in below(one, "start/").items():
        if moving not in name:
            continue
        end = f"state/.params{name}"
        moved = rms(one[end] - before)
        assert moved > 1e-3, name  # the learning rate: one full step of Adam
        check("way", name, rms(eight[end] - one[end]) / moved, 5e-4)
    print("largest relative differences, 1 to 8 devices:", worst)


def test_a_path_length_of_fewer_images_than_devices_is_spread(one_and_eight):
    """Padded with images of no weight, one a device, to the same numbers."""
    one, eight = (below(one_and_eight[n], f"{UNEVEN}/") for n in (1, DEVICES))
    check_same(one, eight, "['generator']['blocks_1']['conv0']['weight']")
    # Four images on one device; what does not depend on images is the rest.
    assert eight["flops/g_path"] / one["flops/g_path"] < 1.5 / 4
    # Every second label goes to another device; only sums are communicated besides.
    others = [
        size for kind, size in collectives(eight["hlo/g_path"]) if kind != "all-reduce"
    ]
    assert sum(others) <= 8 * LABEL_SIZE


@pytest.mark.parametrize("family", FAMILIES)
def test_work_is_sharded_and_only_sums_are_communicated(of_family, family):
    """Gradients and minibatch statistics are summed; no activation is communicated."""
    one, eight = of_family(family)
    for phase in PHASES[family]:
        network = NETWORKS[phase[0]]
        split = eight[f"flops/{phase}"] / one[f"flops/{phase}"]
        assert split < 1.5 / DEVICES, (phase, split)

        exchanged = collectives(eight[f"hlo/{phase}"])
        assert {kind for kind, _ in exchanged} == {"all-reduce"}, exchanged
        sizes = [size for _, size in exchanged]
        params = [
            x.size for name, x in one.items() if name.startswith(f"start/['{network}']")
        ]
        # Nine taps are summed as the 16 that they unfold to where they resample.
        assert max(sizes) <= 16 / 9 * max(params), exchanged
        if family == "stylegan1":  # whose phases have a use for every parameter
            assert sum(sizes) >= sum(params)


def collectives(hlo: str) -> list[tuple[str, int]]:
    """(kind, elements) of everything that the devices of a program exchange."""
    kinds = "all-reduce|all-gather|all-to-all|collective-[a-z]+|reduce-scatter|send"
    out = []
    for result, kind in re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", hlo):
        for dimensions in re.findall(r"\w\[([\d,]*)\]", result):
            sizes = [int(d) for d in dimensions.split(",") if d]
            out.append((kind, int(np.prod(sizes))))
    return out


def test_collectives_are_found():
    hlo = """
      %a = f32[2,4]{1,0} all-reduce(%b), channel_id=6
      %c = (f32[3]{0}, f32[]) all-reduce(%d, %e), channel_id=7
      ROOT %f = f32[16,8]{1,0} all-gather(%a), dimensions={0}
      %g = f32[2,4]{1,0} add(%all-gather.1, %all-reduce.2)
    """
    assert collectives(hlo) == [
        ("all-reduce", 8),
        ("all-reduce", 3),
        ("all-reduce", 1),
        ("all-gather", 128),
    ]


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


if __name__ == "__main__":
    worker(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
