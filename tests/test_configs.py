"""Every experiment in `configs/` loads, builds and has the settings of its paper."""

import ast
import dataclasses
import functools
import json

import jax
import pytest
from absl import flags

from stylegan_jax import config, models, presets
from stylegan_jax.config import image_size
from stylegan_jax.runtime import parallel
from stylegan_jax.training import schedule, setup
from tests.config.reading import CONFIGS, ROOT, experiment, read

# --- the experiments ---------------------------------------------------------------


def test_every_config_is_tested():
    files = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert files == {name.partition(":")[0] for name in CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip_through_json(name):
    e = experiment(name)
    assert config.parse(json.loads(json.dumps(config.to_dict(e)))) == e


@pytest.mark.parametrize("name", CONFIGS)
def test_batches_divide_and_last_stage_has_full_resolution(name):
    e, devices = experiment(name), CONFIGS[name][1]
    stages = schedule.build_stages(e)
    rounds = e.training.accumulation_rounds
    assert [s.batch_size % (devices * rounds) for s in stages] == [0] * len(stages)
    first = e.training.initial_resolution if e.model.growing else e.data.resolution
    assert stages[0].resolution == first
    assert stages[-1].resolution == e.data.resolution
    assert not stages[-1].fading
    assert stages[-1].end_images >= e.training.total_kimg * 1000


@pytest.mark.parametrize("name", sorted({n.partition(":")[0] for n in CONFIGS}))
def test_header_states_command_cost_and_result(name):
    path = ROOT / "configs" / f"{name}.py"
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert f"--config=configs/{name}.py" in header
    assert "\nCost: " in header
    assert "\nExpected: " in header


def parameter_counts(name: str, *arguments: str) -> tuple[int, int]:
    """Return the numbers of parameters of the generator and the discriminator."""
    e = experiment(name, *arguments)
    label_size = 10 if e.data.conditional else 0
    built = setup.build(e, parallel.local(), label_size)
    g, d = built.generator, built.discriminator
    images = (*image_size(g.base_size, g.resolution), g.image_channels)
    return (
        count_parameters(g, (g.z_dim,), label_size),
        count_parameters(d, images, label_size),
    )


@functools.cache  # many experiments have the same networks
def count_parameters(network, shape: tuple[int, ...], label_size: int) -> int:
    inputs = [jax.ShapeDtypeStruct((1, *shape), "float32")]
    inputs += [jax.ShapeDtypeStruct((1, label_size), "float32")] * bool(label_size)
    variables = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


# Published numbers of trainable parameters of the generator and the discriminator:
# Karras et al. 2019, Table 1, and the printouts of the official code.
PUBLISHED = {
    "ffhq": (26_219_627, 23_087_249),
    "celebahq_wgangp": (26_219_627, 23_087_249),
    "table1:b": (23_079_115, 23_087_249),
    "table1:f": (26_219_627, 23_087_249),
    "stylegan2_ffhq": (30_370_060, 29_012_513),
    "stylegan2_table1:a": (26_219_627, 23_087_249),
    "stylegan2_table1:f": (30_370_060, 29_012_513),
    "stylegan3_t_ffhq": (22_313_167, 29_012_513),
    "stylegan3_r_ffhq": (15_093_151, 29_012_513),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_parameter_counts(name):
    counts = parameter_counts(name)
    assert min(counts) > 0
    assert counts == PUBLISHED.get(name, counts)


def test_conditional_cifar10_has_more_parameters():
    plain = sum(parameter_counts("cifar10"))
    conditional = sum(parameter_counts("cifar10", "--config.data.conditional=True"))
    # The label embedding [10,512], the second half of the mapping network's input, and
    # ten logits in place of one.
    assert conditional - plain == 10 * 512 + 512 * 512 + 9 * (512 + 1)


# --- the official settings ---------------------------------------------------------


def test_ffhq_schedule_is_official():
    stages = schedule.build_stages(experiment("ffhq"))
    assert [s.resolution for s in stages] == [
        8,
        *(r for r in (16, 32, 64, 128, 256, 512, 1024) for _ in range(2)),
    ]
    batch = {s.resolution: s.batch_size for s in stages}
    assert batch == {8: 256, 16: 128, 32: 64, 64: 32, 128: 32, 256: 32, 512: 32} | {
        1024: 32
    }
    e = experiment("ffhq")
    assert {s.resolution: schedule.learning_rate(e, s, 0) for s in stages} == {
        8: 0.001,
        16: 0.001,
        32: 0.001,
        64: 0.001,
        128: 0.0015,
        256: 0.002,
        512: 0.003,
        1024: 0.003,
    }


def test_wgangp_differs_from_ffhq_only_in_loss_and_highest_rates():
    ffhq, wgan = experiment("ffhq").training, experiment("celebahq_wgangp").training
    capped = tuple((r, min(v, 0.002)) for r, v in ffhq.learning_rate_by_resolution)
    assert wgan == dataclasses.replace(
        ffhq, loss="wgan", learning_rate_by_resolution=capped
    )
    assert (wgan.gp_weight, wgan.gp_target, wgan.drift_weight) == (10.0, 1.0, 0.001)


def flat(e: config.Experiment) -> dict:
    sections = config.to_dict(e)
    return {f"{s}.{k}": v for s in sections for k, v in sections[s].items()}


def differences(steps: list[dict]) -> list[set[str]]:
    """Return the settings that change from each experiment to the next."""
    return [
        {key for key in before if before[key] != after[key]}
        for before, after in zip(steps, steps[1:], strict=False)
    ]


def test_each_step_of_table1_changes_one_thing():
    steps = [flat(experiment(f"table1:{s}")) for s in "bcdef"]
    assert differences(steps) == [
        {
            "model.mapping_layers",
            "model.styles",
            "model.instance_norm",
            "model.pixel_norm",
        },
        {"model.const_input"},
        {"model.noise"},
        {"training.style_mixing_probability"},
    ]
    assert steps[-1] == flat(experiment("ffhq"))


@pytest.mark.parametrize("name", ["table1", "table1:a"])
def test_table1_requires_a_step(name):
    with pytest.raises(flags.IllegalFlagValueError, match="must be one of b, c, d, e"):
        read(name)


def test_each_step_of_stylegan2_table1_changes_one_thing():
    a, b, c, d, e, f = (flat(experiment(f"stylegan2_table1:{s}")) for s in "abcdef")
    assert a == flat(experiment("ffhq"))
    assert e == flat(experiment("stylegan2_ffhq_e"))
    assert f == flat(experiment("stylegan2_ffhq"))
    assert differences([a, b, c, d]) == [
        {"model.family", "model.channel_base"},
        {"training.d_reg_interval", "training.g_reg_interval"},
        {"training.path_length_weight"},
    ]
    assert differences([e, f]) == [{"model.channel_base", "training.r1_gamma"}]
    # The growing networks have the widths of StyleGAN.
    networks = [
        models.build(experiment(f"stylegan2_table1:{s}").model, config.Data(), 0)
        for s in "abcde"
    ]
    for network in (n for pair in networks for n in pair):
        widths = {r: network.channels(r) for r in networks[0][0].resolutions}
        assert widths == {r: min(16384 // r, 512) for r in widths}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stylegan2_table1", "must be one of a, b, c, d, e, f"),
        ("stylegan2_cifar10:big", "must be one of cond, uncond, small"),
        ("stylegan2_auto:256", "must be RESOLUTIONxDEVICES"),
    ],
)
def test_stylegan2_configs_list_their_arguments(name, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        read(name)


def test_stylegan2_emoji_is_a_narrow_auto():
    auto, e = flat(config.parse(presets.auto(32))), flat(experiment("stylegan2_emoji"))
    [changed_keys] = differences([auto, e])
    assert {key for key in changed_keys if not key.startswith("run.")} == {
        *("data.source", "data.mirror"),
        *("model.z_dim", "model.w_dim", "model.mapping_features"),
        *("model.channel_base", "model.channel_max", "training.total_kimg"),
        "training.r1_gamma",
    }
    assert e["training.r1_gamma"] == 0.1 > 10 * auto["training.r1_gamma"]
