"""Configurations are parsed and validated; all problems are reported at once."""

import dataclasses
import json
from pathlib import Path

import pytest

from stylegan_jax import config
from stylegan_jax.config import setting
from tests.config.reading import experiment


def changed(**sections) -> config.Experiment:
    """Return the default experiment with fields changed, without validation."""
    e = config.Experiment()
    return dataclasses.replace(
        e,
        **{
            name: dataclasses.replace(getattr(e, name), **fields)
            for name, fields in sections.items()
        },
    )


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
    "`data.fit`": changed(data={"fit": "stretch"}),
    "`data.resolution`": changed(data={"resolution": 2048}),
    "`data.channels`": changed(data={"channels": 2}),
    "`data.path`": changed(data={"source": "folder"}),
    "`data.path` (='') must name the images: a folder or a zip": changed(
        data={"path": ""}
    ),
    "`data.path` (='x') is not read if `data.source` is 'builtin'": changed(
        data={"source": "builtin", "path": "x"}
    ),
    "`data.path` (='x') is not read if `data.source` is 'tfds'": changed(
        data={"source": "tfds", "tfds_name": "y", "path": "x"}
    ),
    "`data.tfds_name` (='y') is not read if `data.source` is 'builtin'": changed(
        data={"source": "builtin", "tfds_name": "y"}
    ),
    "`data.builtin_classes` (='expression') must be 'folder' for emoji": changed(
        data={"builtin_classes": "expression"}
    ),
    "`data.builtin` (='smileys')": changed(data={"builtin": "smileys", "path": "x"}),
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
    "`data.base_size` (=(0, 4)) must be two numbers": changed(
        data={"base_size": (0, 4)}
    ),
    "`data.base_size` (=(4, 8)) must be (4, 4)": changed(data={"base_size": (4, 8)}),
    "`model.g_architecture` (='skip') and": changed(
        model={"family": "stylegan2", "g_architecture": "skip"}
    ),
    "`model.g_architecture` must be 'growing'": changed(
        model={"g_architecture": "skip", "d_architecture": "resnet"}
    ),
    "`model.resample_filter`": changed(model={"resample_filter": (1,)}),
    "`model.conv_clamp` (=-1.0) must not": changed(model={"conv_clamp": -1.0}),
    "`model.conv_clamp` (=256.0) has no effect for stylegan1": changed(
        model={"conv_clamp": 256.0}
    ),
    "`model.freeze_layers` (=3) has no effect": changed(model={"freeze_layers": 3}),
    "`model.spectral_norm` (=True) has no effect": changed(
        model={"spectral_norm": True}
    ),
    "`model.blur_filter` (=()) has no effect for stylegan2": changed(
        model=SKIP | {"blur_filter": ()}
    ),
    "`model.pixel_norm` (=True) has no effect for stylegan2": changed(
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
    "a batch of 32 split by `training.accumulation_rounds` (=32) leaves no": changed(
        training={
            "accumulation_rounds": 32,
            "path_length_weight": 2.0,
            "g_reg_interval": 4,
        }
    ),
    "`training.path_length_weight` needs": changed(
        training={"path_length_weight": 2.0}
    ),
    "`training.d_reg_interval` (=16) makes R1 lazy": changed(
        training={"d_reg_interval": 16, "r2_gamma": 1.0}
    ),
    "`training.discriminator_learning_rate`": changed(
        training={"discriminator_learning_rate": 0.0}
    ),
    "`training.accumulation_rounds`": changed(training={"accumulation_rounds": 0}),
    "a batch of 32 is not divisible by `training.accumulation_rounds` (=3)": changed(
        training={"accumulation_rounds": 3}
    ),
    "a batch of 6 is not divisible into groups": changed(
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
        (
            {"training": {"batch_size": 1.5}},
            "`training.batch_size` (=1.5) must be a w",
        ),
        ({"training": {"batch_size": True}}, "`training.batch_size` (=True)"),
        ({"training": {"total_kimg": True}}, "`training.total_kimg` (=True) must be a"),
        ({"training": {"total_kimg": None}}, "`training.total_kimg` (=None) must be a"),
        ({"data": {"mirror": 1}}, "`data.mirror` (=1) must be True or"),
        ({"data": {"path": 1}}, "`data.path` (=1) must be a text, or"),
        ({"data": {"base_size": [4]}}, "`data.base_size` (=[4]) must be two whole"),
        ({"model": {"blur_filter": [0.5]}}, "must be whole numbers, such as (1"),
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
def test_parse_rejects(wrong, message):
    with pytest.raises(config.ConfigError) as caught:
        config.parse(wrong)
    assert message in str(caught.value)


def test_parse_reports_all_problems():
    wrong = {"data": {"mirrors": 1, "channels": "x"}, "model": {"z_dim": 0.5}}
    with pytest.raises(config.ConfigError) as caught:
        config.parse(wrong)
    assert len(str(caught.value).splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("rule", "valid", "invalid"),
    [
        (setting.DECAY, (0.0, 0.99), (-0.1, 1.0)),
        (setting.FRACTION, (0.0, 1.0), (-0.1, 1.1)),
        (setting.SEED, (0, 2**32 - 1), (-1, 2**32)),
        (setting.AT_LEAST_ONE_IMAGE, (0.001, 25000.0), (0.0, 0.0009)),
        (setting.RESOLUTION, (4, 1024), (2, 6, 2048)),
        (setting.BASE_SIZE, ((1, 64),), ((0, 4), (4, 65))),
        (setting.FILTER, ((1, 1),), ((), (1,), (1, -1))),
        (setting.FILTER_OR_NONE, ((), (1,)), ((1, -1), (0,))),
        (
            setting.BY_RESOLUTION,
            ((), ((8, 0.5), (16, 1.0))),
            (((8, 1.0), (8, 2.0)), ((7, 1.0),), ((8, 0.0),), ((8, float("inf")),)),
        ),
        (
            setting.WHOLE_BY_RESOLUTION,
            (((8, 2.0),),),
            (((8, 0.5),), ((8, float("inf")),), ((8, float("nan")),)),
        ),
    ],
    ids=lambda value: value.text if isinstance(value, setting.Rule) else "",
)
def test_rules(rule, valid, invalid):
    assert [value for value in valid if not rule.holds(value)] == []
    assert [value for value in invalid if rule.holds(value)] == []


def test_values_must_be_finite():
    e = changed(training={"learning_rate": float("inf"), "r1_gamma": float("nan")})
    assert config.validate(e) == [
        "`training.learning_rate` (=inf) must be finite",
        "`training.r1_gamma` (=nan) must be finite",
    ]


def test_every_setting_is_documented_and_valid_by_default():
    for name, field, value in config.fields(config.Experiment()):
        doc = field.metadata["doc"]
        assert doc[0].isupper() or doc[0].isdigit(), name
        assert doc.endswith("."), name
        assert value == field.default
    assert config.validate(config.Experiment()) == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("ffhq", "ffhq"),
        ("stylegan2_cifar10_small", "stylegan2_cifar10:small"),
    ],
)
def test_load_reads_a_file_of_an_older_version(file, name):
    """The files were written by commit 135a373, with the same configs."""
    path = Path(__file__).parent / "stored" / f"{file}.json"
    e = config.load(path)
    stored = json.loads(path.read_text())["data"]["source"]
    assert e == experiment(name, f"--config.data.source={stored}")
    stored, now = json.loads(path.read_text()), config.to_dict(e)
    for section, values in stored.items():  # settings may be added, none may change
        assert {key: now[section][key] for key in values} == values


@pytest.mark.parametrize("source", ["builtin", "tfds"])
def test_paths_that_older_versions_ignored_are_no_obstacle(tmp_path, source):
    """They were stored; the data set was that of the source."""
    values = config.to_dict(config.Experiment())
    values["data"] |= {"source": source, "path": "/somewhere", "tfds_name": "cifar10"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    d = config.load(path).data
    assert (d.source, d.path) == (source, None)
    assert d.tfds_name == {"builtin": None, "tfds": "cifar10"}[source]


@pytest.mark.parametrize(
    ("dtype", "resolutions"), [("bfloat16", config.ALL_RESOLUTIONS), ("float32", 4)]
)
def test_bfloat16_of_stylegan_in_a_file_of_an_older_version(
    tmp_path, dtype, resolutions
):
    """It held at all resolutions; products of float32 were float32."""
    stored = Path(__file__).parent / "stored" / "ffhq.json"
    values = json.loads(stored.read_text())
    assert values["model"]["low_precision_resolutions"] == 4
    values["model"]["dtype"] = dtype
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    e = config.load(path)
    assert e.model.low_precision_resolutions == resolutions
    assert e.model.float32_precision == "highest"
    path.write_text(json.dumps(config.to_dict(e)))
    assert config.load(path) == e  # and a file of this version is read as it is
    four = changed(model={"dtype": "bfloat16", "low_precision_resolutions": 4})
    path.write_text(json.dumps(config.to_dict(four)))
    assert config.load(path) == four


def test_load_reads_what_to_dict_returned(tmp_path):
    e = experiment("ffhq")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict(e)))
    assert config.load(path) == e


def test_none_of_a_command_line_is_none():
    c = config.base()
    c.evaluation.cache = c.run.compilation_cache = "None"
    e = config.parse(c)
    assert e.evaluation.cache is None and e.run.compilation_cache is None
