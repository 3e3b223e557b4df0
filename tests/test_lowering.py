"""Tracing and lowering of the training programs for absent hardware.

The devices are an abstract mesh, so no array is placed and nothing is executed.
"""

import re
import runpy
import time
from pathlib import Path

import jax
import pytest
from jax.sharding import AbstractMesh, AxisType
from ml_collections import ConfigDict

from benchmarks import flops
from stylegan_jax import config, models
from stylegan_jax.layers.conv2d_cpu import WIDE
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import schedule, setup
from stylegan_jax.training import state as train_state
from stylegan_jax.training.compilation import ProgramCache
from stylegan_jax.training.schedule import Stage

PHASES = {
    "stylegan1": ("d_main", "g_main"),
    "stylegan2": ("g_main", "g_path", "d_main", "d_r1"),
}
STAGES = [("stylegan1", False), ("stylegan1", True), ("stylegan2", False)]
stages = pytest.mark.parametrize(
    "family, fading", STAGES, ids=["stylegan1", "stylegan1-fading", "stylegan2"]
)
# The stages that contain all operations of the others, for slow checks.
full_stages = pytest.mark.parametrize(
    "family, fading", STAGES[1:], ids=["stylegan1-fading", "stylegan2"]
)
PARAMETERS_AT_1024 = {
    "stylegan1": {"generator": 26_219_627, "discriminator": 23_087_249},
    "stylegan2": {"generator": 30_370_060, "discriminator": 29_012_513},
}
EIGHT_DEVICES = Parallel(AbstractMesh((8,), ("data",), (AxisType.Auto,)))


def small(
    family: str, dtype: str = "float32", resolution: int = 32
) -> config.Experiment:
    """Return an experiment with all depths up to a resolution and few channels."""
    c = family_defaults(family)
    c.data.resolution = resolution
    c.data.mirror = True
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 16
    c.model.mapping_layers = 2
    c.model.channel_base = 256
    c.model.channel_max = 16
    c.model.dtype = dtype
    c.training.initial_resolution = resolution // 2
    c.training.batch_size = 16
    return config.parse(c)


def family_defaults(family: str) -> ConfigDict:
    """Return a config with the networks and phases of a family."""
    c = config.base()
    if family == "stylegan2":
        c.model.family = family
        c.model.g_architecture, c.model.d_architecture = "skip", "resnet"
        c.training.path_length_weight = 2.0
        c.training.g_reg_interval, c.training.d_reg_interval = 4, 16
    return c


def ffhq(family: str) -> config.Experiment:
    """Return the official setting for eight GPUs."""
    name = {"stylegan1": "ffhq.py", "stylegan2": "stylegan2_ffhq.py"}[family]
    file = runpy.run_path(str(Path(__file__).parent.parent / "configs" / name))
    c = file["get_config"]()
    c.data.path = "not read"
    return config.parse(c)


def programs(e: config.Experiment, devices: Parallel) -> ProgramCache:
    training = setup.build(e, devices)
    assert tuple(training.phase_names) == PHASES[e.model.family]
    return ProgramCache(training)


def stage_at(e: config.Experiment, resolution: int, fading: bool) -> Stage:
    (found,) = (
        s
        for s in schedule.build_stages(e)
        if s.resolution == resolution and s.fading == fading
    )
    return found


def donated_arrays(state: train_state.TrainState, phase: str) -> list:
    """Return the arrays of the state that a phase reads and may overwrite in place.

    The discriminator phase overwrites the averaged generator's `w_avg` unread.
    """
    replaced = state.ema["stats"]["w_avg"] if phase == "d_main" else None
    return [x for x in jax.tree.leaves(state) if x is not replaced]


def check_module(
    text: str, e: config.Experiment, stage: Stage, phase: str, donated: int
) -> None:
    """Check what every program of a phase must and must not contain."""
    assert "mhlo.num_partitions = 8" in text and '"data"=8' in text
    size, channels = stage.resolution, e.data.channels
    reals = f"tensor<{stage.batch_size}x{size}x{size}x{channels}xui8>"
    assert (reals in text) == phase.startswith("d_")
    found = re.findall(r"tf\.aliasing_output|jax\.buffer_donor", text)
    assert len(found) == donated
    assert text.count("stablehlo.convolution") >= 2 * (size.bit_length() - 2)
    assert "stablehlo.dot_general" in text
    assert "callback" not in text and "stablehlo.infeed" not in text
    # Parameters are arguments, not constants; constants such as FIR taps are small.
    assert max(map(len, text.splitlines())) < 1_000_000
    assert not re.search(r"tensor<[^>]*f64>", text)
    # On accelerators StyleGAN2 uses XLA's strided convolutions; on a CPU no convolution
    # is dilated (tests/layers/test_conv2d.py).
    allowed = {"1"} if e.model.family == "stylegan1" else {"1", "2"}
    for dilated in re.findall(r"(?:lhs|rhs)_dilat\w* = \[([^\]]*)\]", text):
        assert set(dilated.split(", ")) <= allowed


@full_stages
@pytest.mark.parametrize(
    "platform", ["tpu", pytest.param("cuda", marks=pytest.mark.aot)]
)
def test_small_networks_lower(platform, family, fading):
    e = small(family, resolution=16)
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 16, fading)
    state = cache.arguments(stage)[0]
    for i, phase in enumerate(PHASES[family]):
        text = cache.lower(stage, i, platform).as_text()
        check_module(text, e, stage, phase, len(donated_arrays(state, phase)))


@pytest.mark.aot
@full_stages
def test_bfloat16_reaches_the_convolutions(family, fading):
    e = small(family, "bfloat16")
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 32, fading)
    for i in range(len(PHASES[family])):
        text = cache.lower(stage, i, "tpu").as_text()
        types = re.findall(r"stablehlo.convolution.*-> tensor<[\dx]*(\w+)>", text)
        assert types.count("bf16") > 10
        # float32 convolutions occur only at 4x4, in the head of the discriminator.
        for shape in re.findall(
            r"stablehlo.convolution.*: \(tensor<([\dx]*)xf32>", text
        ):
            assert "x4x4x" in shape or "x6x6x" in shape, shape


@pytest.mark.aot
@stages
def test_ffhq_at_1024_lowers(family, fading):
    e = ffhq(family)
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 1024, fading)
    assert stage.batch_size == 32
    state = cache.arguments(stage)[0]
    sizes = {
        name: sum(x.size for x in jax.tree.leaves(params))
        for name, params in state.params.items()
    }
    assert sizes == PARAMETERS_AT_1024[family]
    for platform in ("tpu", "cuda"):
        for i, phase in enumerate(PHASES[family]):
            start = time.monotonic()
            text = cache.lower(stage, i, platform).as_text()
            seconds = time.monotonic() - start
            print(
                f"{stage.name} {phase} for {platform}: {seconds:.1f} s, "
                f"{len(text) / 1e6:.1f} MB of StableHLO, "
                f"{text.count('stablehlo.convolution')} convolutions"
            )
            check_module(text, e, stage, phase, len(donated_arrays(state, phase)))


@pytest.mark.aot
@full_stages
def test_compiled_programs_donate_the_state_and_waste_little(family, fading):
    """Check donation, the absence of dilated convolutions, and the number of FLOPs.

    The gradients of dilated convolutions are 20-40 times slower on CPUs. Useful are the
    operations of the layers that the stage needs, with one forward pass of G and no
    gradient through the fakes that train the discriminator.
    """
    c = family_defaults(family)
    c.data.resolution = 16 if fading else 8  # the tested stage is 8x8
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 8
    c.model.mapping_layers = 1
    # Wide enough for convolutions on CPUs; narrower layers use matrix products only.
    c.model.channel_base = 8 * WIDE
    c.model.channel_max = WIDE
    c.training.initial_resolution = 4
    c.training.batch_size = 4
    e = config.parse(c)
    cache, stage = programs(e, parallel.data_parallel()), stage_at(e, 8, fading)
    state = cache.arguments(stage)[0]
    networks = models.build(e.model, e.data, 0)
    useful = flops.per_phase(e, stage, *flops.per_image(*networks, stage.resolution))
    for i, phase in enumerate(PHASES[family]):
        compiled = cache.lower(stage, i).compile(
            {"xla_backend_optimization_level": 0}  # of machine code, not of the HLO
        )
        state_bytes = sum(
            x.size * x.dtype.itemsize for x in donated_arrays(state, phase)
        )
        assert compiled.memory_analysis().alias_size_in_bytes == state_bytes, phase
        windows = re.findall(r"convolution\(.*window=\{([^}]*)\}", compiled.as_text())
        assert windows
        assert not [w for w in windows if "dilate" in w], phase
        work = compiled.cost_analysis()["flops"] / useful[phase]
        print(f"{family} {phase}: {work:.2f} times the useful FLOPs")
        assert 0.5 < work < 1.2, phase  # Winograd's form needs about half at 8x8


def test_a_sharded_optimizer_uses_only_the_shards_of_the_gradients():
    """The sums are sharded as the moments are, and so are the updates until the end."""
    c = family_defaults("stylegan2")
    c.data.resolution = 8
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 16
    c.model.mapping_layers = 1
    c.model.channel_base, c.model.channel_max = 128, 16
    c.training.batch_size = 16
    c.run.shard_optimizer = True
    e = config.parse(c)
    cache = programs(e, EIGHT_DEVICES)
    (stage,) = schedule.build_stages(e)
    text = cache.lower(stage, 0, "tpu").as_text()
    constraints = re.findall(r"sdy\.sharding_constraint .*", text)
    sharded = [line for line in constraints if '{"data"}' in line]
    moments = cache.arguments(stage)[0].optimizer["generator"]
    shardable = [x for x in jax.tree.leaves(moments) if any(x.sharding.spec)]
    assert len(shardable) > 10
    shapes = [re.sub(r".*: (tensor<.*>)$", r"\1", line) for line in sharded]
    for x in shardable:
        shape = "tensor<" + "x".join(map(str, x.shape)) + "xf32>"
        assert shape in shapes, shape
