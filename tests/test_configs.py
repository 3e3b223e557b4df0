"""Every experiment in `configs/`, and the machinery that reads and checks them."""

import ast
import dataclasses
import json
import subprocess
import sys
import typing
from collections.abc import Iterable
from pathlib import Path

import jax
import pytest
from absl import flags
from ml_collections import config_flags

from stylegan_jax import config, front_door, models, presets
from stylegan_jax.training import growth, recipes, step
from stylegan_jax.training import state as train_state

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stylegan_jax"
FOLDER = "--config.data.path=/somewhere"

# Config -> arguments without which it is not complete, devices that it is meant for.
CONFIGS = {
    "emoji": ((), 1),
    "ffhq": ((FOLDER,), 8),
    "ffhq256": ((FOLDER,), 8),
    "celebahq_wgangp": ((FOLDER,), 8),
    "lsun_bedroom": ((), 8),
    "cifar10": ((), 8),
    "faces64": ((FOLDER,), 1),
    "table1:b": ((FOLDER,), 8),
    "table1:c": ((FOLDER,), 8),
    "table1:d": ((FOLDER,), 8),
    "table1:e": ((FOLDER,), 8),
    "table1:f": ((FOLDER,), 8),
    "stylegan2_emoji": ((), 1),
    "stylegan2_cifar10": ((), 2),
    "stylegan2_cifar10:uncond": ((), 2),
    "stylegan2_cifar10:small": ((), 1),
    "stylegan2_ffhq": ((FOLDER,), 8),
    "stylegan2_ffhq_e": ((FOLDER,), 8),
    "stylegan2_paper256": ((FOLDER,), 8),
    "stylegan2_auto": ((FOLDER,), 1),
    "stylegan2_auto:1024x8": ((FOLDER,), 8),
    "stylegan2_table1:a": ((FOLDER,), 8),
    "stylegan2_table1:b": ((FOLDER,), 8),
    "stylegan2_table1:c": ((FOLDER,), 8),
    "stylegan2_table1:d": ((FOLDER,), 8),
    "stylegan2_table1:e": ((FOLDER,), 8),
    "stylegan2_table1:f": ((FOLDER,), 8),
}


def read(name: str, *arguments: str):
    """The ConfigDict that a command line gives."""
    path, _, step_of_table = name.partition(":")
    value = str(ROOT / "configs" / f"{path}.py") + (
        step_of_table and f":{step_of_table}"
    )
    argv = ["train", f"--config={value}", *arguments]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    values(argv)
    return values.config


def experiment(name: str, *arguments: str) -> config.Experiment:
    return config.parse(read(name, *CONFIGS[name][0], *arguments))


def changed(**sections) -> config.Experiment:
    """The default experiment with fields changed, not validated."""
    e = config.Experiment()
    return dataclasses.replace(
        e,
        **{
            name: dataclasses.replace(getattr(e, name), **fields)
            for name, fields in sections.items()
        },
    )


def schema() -> set[str]:
    """All fields as "section.field"."""
    sections = typing.get_type_hints(config.Experiment)
    return {
        f"{name}.{field.name}"
        for name, cls in sections.items()
        for field in dataclasses.fields(cls)
    }


# --- the experiments ---------------------------------------------------------------


def test_every_config_is_listed_here():
    files = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert files == {name.partition(":")[0] for name in CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_loads_and_survives_json(name):
    e = experiment(name)
    assert config.parse(json.loads(json.dumps(config.to_dict(e)))) == e


@pytest.mark.parametrize("name", CONFIGS)
def test_batches_fit_the_devices_and_the_last_stage_is_full(name):
    e, devices = experiment(name), CONFIGS[name][1]
    stages = growth.stages(e)
    rounds = e.training.accumulation_rounds
    assert [s.batch_size % (devices * rounds) for s in stages] == [0] * len(stages)
    first = e.training.initial_resolution if e.model.growing else e.data.resolution
    assert stages[0].resolution == first
    assert stages[-1].resolution == e.data.resolution
    assert not stages[-1].fading
    assert stages[-1].end_images >= e.training.total_kimg * 1000


@pytest.mark.parametrize("name", sorted({n.partition(":")[0] for n in CONFIGS}))
def test_header_says_command_cost_and_result(name):
    path = ROOT / "configs" / f"{name}.py"
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert f"--config=configs/{name}.py" in header
    assert "\nCost: " in header
    assert "\nExpected: " in header


def shapes(name: str, *arguments: str):
    """What a run would create first, without creating it."""
    e = experiment(name, *arguments)
    label_size = 10 if e.data.conditional else 0
    networks = models.build(e.model, e.data, label_size)
    phases = tuple(phase.name for phase in recipes.build(e, *networks))
    optimizer = step.build_optimizers(e)
    return jax.eval_shape(
        lambda: train_state.create(*networks, optimizer, phases, e.run.seed)
    )


def parameters(tree) -> int:
    return sum(x.size for x in jax.tree.leaves(tree))


# Trainable parameters of generator and discriminator, where published: Karras et al.
# 2019, Table 1, and the official codes' printouts.
PUBLISHED = {
    "ffhq": (26_219_627, 23_087_249),
    "celebahq_wgangp": (26_219_627, 23_087_249),
    "table1:b": (23_079_115, 23_087_249),
    "table1:f": (26_219_627, 23_087_249),
    "stylegan2_ffhq": (30_370_060, 29_012_513),
    "stylegan2_table1:a": (26_219_627, 23_087_249),
    "stylegan2_table1:f": (30_370_060, 29_012_513),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_networks_build(name):
    params = shapes(name).params
    counts = tuple(
        parameters(params[network])
        for network in (train_state.GENERATOR, train_state.DISCRIMINATOR)
    )
    assert min(counts) > 0
    assert counts == PUBLISHED.get(name, counts)


def test_cifar10_can_be_conditional():
    plain = parameters(shapes("cifar10").params)
    conditional = parameters(shapes("cifar10", "--config.data.conditional=True").params)
    # The label embedding [10,512] and the second half of the mapping's input; ten
    # scores in place of one.
    assert conditional - plain == 10 * 512 + 512 * 512 + 9 * (512 + 1)


# --- the official settings ---------------------------------------------------------


def test_ffhq_has_the_official_schedule():
    stages = growth.stages(experiment("ffhq"))
    assert [s.resolution for s in stages] == [
        8,
        *(r for r in (16, 32, 64, 128, 256, 512, 1024) for _ in range(2)),
    ]
    batch = {s.resolution: s.batch_size for s in stages}
    assert batch == {8: 256, 16: 128, 32: 64, 64: 32, 128: 32, 256: 32, 512: 32} | {
        1024: 32
    }
    e = experiment("ffhq")
    assert {s.resolution: growth.learning_rate(e, s, 0) for s in stages} == {
        8: 0.001,
        16: 0.001,
        32: 0.001,
        64: 0.001,
        128: 0.0015,
        256: 0.002,
        512: 0.003,
        1024: 0.003,
    }


def test_wgangp_differs_from_ffhq_in_loss_and_highest_rates_only():
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
    """What changes from each experiment to the next."""
    return [
        {key for key in before if before[key] != after[key]}
        for before, after in zip(steps, steps[1:], strict=False)
    ]


def test_table1_takes_one_step_at_a_time():
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
def test_table1_asks_for_a_step(name):
    with pytest.raises(flags.IllegalFlagValueError, match="must be one of b, c, d, e"):
        read(name)


def test_stylegan2_table1_takes_one_step_at_a_time():
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
    # The growing networks keep the widths of StyleGAN.
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
def test_stylegan2_configs_name_their_arguments(name, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        read(name)


def test_stylegan2_emoji_is_auto_but_narrow():
    auto, e = flat(config.parse(presets.auto(32))), flat(experiment("stylegan2_emoji"))
    [changed_keys] = differences([auto, e])
    assert {key for key in changed_keys if not key.startswith("run.")} == {
        *("data.mirror", "model.z_dim", "model.w_dim", "model.mapping_features"),
        *("model.channel_base", "model.channel_max", "training.total_kimg"),
        "training.r1_gamma",
    }
    assert e["training.r1_gamma"] == 0.1 > 10 * auto["training.r1_gamma"]


# --- every field is read -----------------------------------------------------------


def fields_read(source: str) -> set[str]:
    """The "section.field" that a program reads as attributes.

    Seen are `<anything>.training.loss` and `t.loss`, where t is `<anything>.training`
    by an assignment, or a parameter or attribute annotated as `Training`.
    """
    sections = typing.get_type_hints(config.Experiment)
    classes = {cls.__name__: name for name, cls in sections.items()}
    tree = ast.parse(source)
    names: dict[str, str] = {}

    def section_of(node: ast.AST | None) -> str | None:
        if isinstance(node, ast.Attribute) and node.attr in classes.values():
            return node.attr
        return None

    def bind(target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for pair in zip(target.elts, value.elts, strict=True):
                bind(*pair)
        elif isinstance(target, ast.Name) and section_of(value):
            names[target.id] = section_of(value)

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bind(target, node.value)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            annotation = ast.unparse(node.annotation).rpartition(".")[2]
            if annotation in classes:
                names[node.arg] = classes[annotation]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            name = names.get(owner.id) if isinstance(owner, ast.Name) else None
            section = section_of(owner) or name
            if section:
                found.add(f"{section}.{node.attr}")
    return found


def never_read(sources: Iterable[str]) -> set[str]:
    return schema().difference(*map(fields_read, sources))


def test_every_field_is_read_outside_of_config():
    files = [p for p in PACKAGE.rglob("*.py") if PACKAGE / "config" not in p.parents]
    assert never_read(p.read_text() for p in files) == set()


def test_a_field_that_nobody_reads_is_found():
    read_all = "\n".join(f"e.{name}" for name in sorted(schema()))
    assert never_read([read_all]) == set()
    without = read_all.replace("e.training.loss\n", "")
    assert never_read([without]) == {"training.loss"}
    assert never_read([without, "'e.training.loss'; e.training.loss = 1; x.loss"]) == {
        "training.loss"
    }
    for use in (
        "self._e.training.loss",
        "kimg, t = images / 1000, e.training\nt.loss",
        "def f(how: config.Training): return how.loss",
    ):
        assert never_read([without, use]) == set()


# --- the command line --------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "section", "field", "value"),
    [
        ("training.total_kimg=100", "training", "total_kimg", 100.0),
        ("training.batch_size=8", "training", "batch_size", 8),
        (
            "training.batch_size_by_resolution=((8,64),)",
            "training",
            "batch_size_by_resolution",
            ((8, 64.0),),
        ),
        (
            "training.learning_rate_by_resolution=((8,1e-3),(16,0.002))",
            "training",
            "learning_rate_by_resolution",
            ((8, 0.001), (16, 0.002)),
        ),
        ("model.blur_filter=(1,3,3,1)", "model", "blur_filter", (1, 3, 3, 1)),
        ("model.blur_filter=()", "model", "blur_filter", ()),
        ("data.mirror=False", "data", "mirror", False),
        ("data.tfds_data_dir=/data", "data", "tfds_data_dir", "/data"),
    ],
)
def test_command_line_overrides(argument, section, field, value):
    e = experiment("emoji", f"--config.{argument}")
    assert getattr(getattr(e, section), field) == value


def test_switches_can_be_written_short():
    assert not experiment("emoji", "--noconfig.data.mirror").data.mirror
    assert experiment("cifar10", "--config.data.conditional").data.conditional


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.training.total_kimgs=3", "did you mean `training.total_kimg`?"),
        ("-config.training.total_kimgs", "did you mean `training.total_kimg`?"),
        ("--noconfig.data.miror", "did you mean `data.mirror`?"),
        ("--config.trainin.loss=wgan", "`trainin`; did you mean `training`?"),
        ("--config.loss=wgan", "unknown config key `loss` (allowed here: data,"),
        ("--config.training.loss.x=1", "`training.loss` is a value"),
    ],
)
def test_unknown_overrides_are_named(argument, message):
    [problem] = front_door.unknown_overrides(["--workdir=x", argument])
    assert message in problem


def test_known_overrides_pass():
    arguments = [f"--config.{name}=1" for name in schema()]
    others = ["--config=configs/emoji.py", "--workdir=config.x=1", "--configs.a=1"]
    assert front_door.unknown_overrides(arguments + others) == []


def train(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "stylegan_jax.train", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_wrong_command_line_gives_one_message_and_no_run(tmp_path):
    done = train(
        "--config=configs/emoji.py",
        "--config.training.total_kimgs=3",
        "--config.data.miror=True",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: The command line is wrong:\n")
    assert "did you mean `training.total_kimg`?" in done.stderr
    assert "did you mean `data.mirror`?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdirs=x"], "Unknown command line flag 'workdirs'"),
        ([], "Flag --workdir must have a value other than None"),
        (["--workdir=x", "--stopped_status=many"], "--stopped_status"),
        (["--workdir=x", "--stopped_status=200"], "--stopped_status"),
        (["--workdir=x", "more"], "unexpected arguments ['more']"),
    ],
)
def test_wrong_flags_are_hopeless(tmp_path, arguments, message):
    done = train("--config=configs/emoji.py", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_config_file_is_named(tmp_path):
    done = train("--config=configs/emojis.py", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: The config file cannot be read")
    assert "configs/emojis.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_values_are_all_reported_at_once(tmp_path):
    done = train(
        "--config=configs/emoji.py",
        "--config.training.loss=wgn",
        "--config.data.resolution=33",
        "--config.training.batch_size=0",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "error: The configuration cannot be used:"
    assert len(lines) == 4
    assert "`training.loss` (='wgn') must be one of" in done.stderr
    assert "`data.resolution` (=33) must be a power of two" in done.stderr
    assert "`training.batch_size` (=0) must be positive" in done.stderr


# --- parse and validate ------------------------------------------------------------


def test_default_is_valid_and_survives_the_config_dict():
    e = changed(data={"path": "/somewhere"})
    assert config.validate(e) == []
    assert config.parse(config.base()) == config.Experiment()
    assert config.parse(config.to_dict(e)) == e


def test_parse_does_not_share_with_its_argument():
    c = config.base()
    e = config.parse(c)
    c.training.total_kimg = 1.0
    assert e.training.total_kimg == config.Training().total_kimg
    with pytest.raises(dataclasses.FrozenInstanceError):
        e.training.total_kimg = 1.0


SKIP = {"family": "stylegan2", "g_architecture": "skip", "d_architecture": "resnet"}
PROBLEMS = {
    "`data.source`": changed(data={"source": "rar"}),
    "`data.fit`": changed(data={"fit": "stretch"}),
    "`data.resolution`": changed(data={"resolution": 2048}),
    "`data.channels`": changed(data={"channels": 2}),
    "`data.path`": changed(data={"source": "folder"}),
    "`data.tfds_name`": changed(data={"source": "tfds"}),
    "`data.prefetch_batches`": changed(data={"prefetch_batches": 0}),
    "`model.family`": changed(model={"family": "stylegan9"}),
    "`model.nonlinearity`": changed(model={"nonlinearity": "tanh"}),
    "`model.dtype`": changed(model={"dtype": "float16"}),
    "`model.remat` (='all') must be one of": changed(model={"remat": "all"}),
    "`run.device_memory_gib` (=0.0) must be positive": changed(
        run={"device_memory_gib": 0.0}
    ),
    "`model.styles`": changed(model={"styles": False}),
    "`model.mapping_layers`": changed(model={"mapping_layers": -1}),
    "`model.z_dim`": changed(model={"z_dim": 0}),
    "`training.loss`": changed(training={"loss": "wgan-gp"}),
    "`training.initial_resolution`": changed(training={"initial_resolution": 6}),
    "`training.batch_size`": changed(training={"batch_size": 0}),
    "`training.batch_size_by_resolution`": changed(
        training={"batch_size_by_resolution": ((7, 64.0),)}
    ),
    "`training.learning_rate_by_resolution`": changed(
        training={"learning_rate_by_resolution": ((8, 0.0),)}
    ),
    "`run.tick_kimg_by_resolution`": changed(
        run={"tick_kimg_by_resolution": ((8, -1.0),)}
    ),
    "`training.r1_gamma`": changed(training={"r1_gamma": -1.0}),
    "`training.style_mixing_probability`": changed(
        training={"style_mixing_probability": 1.5}
    ),
    "`training.ema_rampup`": changed(training={"transfer": "x", "ema_rampup": 0.05}),
    "`run.seed`": changed(run={"seed": -1}),
    "`data.base_size` (=(0, 4)) must lie": changed(data={"base_size": (0, 4)}),
    "`data.base_size` (=(4, 8)) must be (4, 4)": changed(data={"base_size": (4, 8)}),
    "`model.g_architecture` (='skip') and": changed(
        model={"family": "stylegan2", "g_architecture": "skip"}
    ),
    "`model.g_architecture` must be 'growing'": changed(
        model={"g_architecture": "skip", "d_architecture": "resnet"}
    ),
    "`model.resample_filter`": changed(model={"resample_filter": (1,)}),
    "`model.conv_clamp` (=-1.0) must not": changed(model={"conv_clamp": -1.0}),
    "`model.conv_clamp` (=256.0) has no meaning for stylegan1": changed(
        model={"conv_clamp": 256.0}
    ),
    "`model.freeze_layers` (=3) has no meaning": changed(model={"freeze_layers": 3}),
    "`model.blur_filter` (=()) has no meaning for stylegan2": changed(
        model=SKIP | {"blur_filter": ()}
    ),
    "`model.pixel_norm` (=True) has no meaning for stylegan2": changed(
        model={"family": "stylegan2", "pixel_norm": True}
    ),
    "`run.time_limit_minutes` (=-1.0) must not be negative": changed(
        run={"time_limit_minutes": -1.0}
    ),
    "`run.heartbeat_seconds` (=0) must be positive": changed(
        run={"heartbeat_seconds": 0}
    ),
    "`run.height_min_resolution` (=48) must be a power of two": changed(
        run={"height_min_resolution": 48}
    ),
    "`model.mapping_layers` must be positive": changed(
        data={"conditional": True}, model=SKIP | {"mapping_layers": 0}
    ),
    "a batch of 32 in `training.accumulation_rounds` (=32) leaves no image": changed(
        training={
            "accumulation_rounds": 32,
            "path_length_weight": 2.0,
            "g_reg_interval": 4,
        }
    ),
    "`training.path_length_weight` needs": changed(
        training={"path_length_weight": 2.0}
    ),
    "`training.d_reg_interval` makes R1 lazy": changed(
        training={"d_reg_interval": 16, "loss": "wgan"}
    ),
    "`training.d_reg_interval` makes": changed(
        training={"d_reg_interval": 16, "r2_gamma": 1.0}
    ),
    "`training.discriminator_learning_rate`": changed(
        training={"discriminator_learning_rate": 0.0}
    ),
    "`training.accumulation_rounds`": changed(training={"accumulation_rounds": 0}),
    "a batch of 32 does not split into `training.accumulation_rounds` (=3)": changed(
        training={"accumulation_rounds": 3}
    ),
    "a batch of 6 does not split into groups": changed(
        training={"batch_size": 48, "accumulation_rounds": 8}
    ),
    "`run.grid_rows` x": changed(run={"grid_rows": 100, "grid_columns": 100}),
}


@pytest.mark.parametrize("start", PROBLEMS)
def test_validate_names_the_one_problem(start):
    [problem] = config.validate(PROBLEMS[start])
    assert problem.startswith(start)


def test_validate_reports_all_problems():
    e = changed(
        data={"channels": 2}, model={"dtype": "int8"}, training={"batch_size": -4}
    )
    assert len(config.validate(e)) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"training": {"total_kimgs": 1.0}}, "did you mean `training.total_kimg`?"),
        ({"trainin": {}}, "did you mean `training`?"),
        ({"training": 3}, "`training` must be a section"),
        ({"training": {"batch_size": "many"}}, "`training.batch_size` (='many')"),
        ({"training": {"batch_size": 1.5}}, "`training.batch_size` (=1.5) must be int"),
        ({"training": {"batch_size": True}}, "`training.batch_size` (=True)"),
        ({"data": {"mirror": 1}}, "`data.mirror` (=1) must be bool"),
        (
            {"training": {"batch_size_by_resolution": [[8]]}},
            "must be pairs (resolution, value)",
        ),
        (
            {"training": {"batch_size_by_resolution": [8, 64]}},
            "must be pairs (resolution, value)",
        ),
    ],
)
def test_parse_refuses(wrong, message):
    with pytest.raises(config.ConfigError) as caught:
        config.parse(wrong)
    assert message in str(caught.value)


def test_parse_reports_all_problems():
    wrong = {"data": {"mirrors": 1, "channels": "x"}, "model": {"z_dim": 0.5}}
    with pytest.raises(config.ConfigError) as caught:
        config.parse(wrong)
    assert len(str(caught.value).splitlines()) == 1 + 3


def test_load_reads_what_to_dict_gave(tmp_path):
    e = experiment("ffhq")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict(e)))
    assert config.load(path) == e
