"""The directory of a run: what names it, and what its files may contain."""

import dataclasses
import json
import shlex
import shutil

import pytest
from etils import epath

from stylegan_jax import config, workdir
from stylegan_jax.workdir import DataInfo
from tests import tiny

DATA = DataInfo("folder x", 7, ("a", "b"), "abc")


@pytest.fixture
def run(tmp_path):
    """The directory of a run that has not taken a step."""
    directory = epath.Path(tmp_path / "runs" / "emoji")
    workdir.write_description(directory, tiny.experiment(), DATA)
    return directory


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_checkpoint_names_its_run(run, monkeypatch):
    (run / "checkpoints" / "16").mkdir(parents=True)
    assert workdir.split(str(run)) == (run, None)
    assert workdir.split(run / "checkpoints" / "16") == (run, 16)
    assert workdir.split(f"{run}/checkpoints/16/") == (run, 16)
    assert workdir.split(run / "checkpoints") == (run, None)
    monkeypatch.chdir(run / "checkpoints")
    assert workdir.split("16") == (run, 16)
    assert workdir.split(".") == (run, None)
    # A run may itself have such a name.
    other = run.parent / "checkpoints"
    shutil.copytree(run, other)
    assert workdir.split(other) == (other, None)
    assert workdir.split("gs://b/run/checkpoints/16") == (
        epath.Path("gs://b/run"),
        16,
    )


def test_a_checkpoint_and_another_step_contradict_each_other(run):
    with pytest.raises(ValueError, match="checkpoint 16 of .*, and the step is 8"):
        workdir.load_generator(run / "checkpoints" / "16", 8)


def refusal(directory):
    with pytest.raises(ValueError) as raised:
        workdir.check_is_run(epath.Path(directory))
    return str(raised.value)


def test_directories_that_are_no_runs(run, tmp_path):
    workdir.check_is_run(run)
    advice = "; use the --workdir of a training run or the --out of a conversion"
    assert refusal(run.parent / "emojis") == (
        f"{run.parent / 'emojis'} does not exist (did you mean {run}?){advice}"
    )
    assert refusal("/no/such/run") == f"/no/such/run does not exist{advice}"
    assert refusal(run.parent) == (
        f"{run.parent} is not the directory of a run: config.json and data.json are "
        f"missing; it contains the runs {run}{advice}"
    )
    (run / "data.json").unlink()
    assert refusal(run) == (
        f"{run} is not the directory of a run: data.json is missing{advice}"
    )
    assert refusal(run / "config.json") == (
        f"{run / 'config.json'} is a file, not the directory of a run{advice}"
    )


@pytest.mark.parametrize("name", ["config.json", "data.json"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "is empty"), ('{"data": {"res', "is damaged"), ("[1, 2]", "is damaged: it")],
)
def test_damaged_files_are_named(run, name, content, problem):
    (run / name).write_text(content)
    with pytest.raises(ValueError) as raised:
        workdir.load_description(run)
    assert str(raised.value).startswith(f"{run / name} {problem}")
    with pytest.raises(ValueError) as raised:  # as a resumed run reads it
        workdir.check_resumable(run, tiny.experiment(), DATA)
    assert str(raised.value).startswith(f"{run / name} {problem}")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"num_images": "7"}, "`num_images` (='7')"),
        ({"num_images": float("nan")}, "`num_images` (=nan)"),
        ({"num_images": True}, "`num_images` (=True)"),
        ({"classes": None}, "`classes` (=None)"),
        ({"classes": ["a", 3]}, "`classes` (=('a', 3))"),
        ({"name": 3, "fingerprint": 4}, "`name` (=3), `fingerprint` (=4)"),
    ],
)
def test_values_of_a_wrong_type_are_named(run, entries, problem):
    change(run / "data.json", **entries)
    with pytest.raises(ValueError) as raised:
        workdir.load_data_info(run)
    assert f"data.json is damaged: {problem} must be there" in str(raised.value)


def test_label_vectors_of_the_data(run):
    path = run / "data.json"
    older = json.loads(path.read_text())
    assert older.pop("label_vectors") is False
    path.write_text(json.dumps(older))
    assert not workdir.load_data_info(run).label_vectors
    change(path, label_vectors=True)
    assert workdir.load_data_info(run).label_vectors
    change(path, label_vectors=1)
    with pytest.raises(ValueError, match=r"`label_vectors` \(=1\) must be there and"):
        workdir.load_data_info(run)


def test_a_key_of_data_json_may_not_be_missing(run):
    (run / "data.json").write_text('{"name": "x", "num_images": 7, "classes": []}')
    with pytest.raises(ValueError, match=r"`fingerprint` \(=None\) must be there"):
        workdir.load_data_info(run)


def test_keys_of_newer_versions_are_told_and_ignored(run):
    change(run / "data.json", new=1, newer={"a": 2})
    told = []
    assert workdir.load_data_info(run, told.append) == DATA
    assert told == [
        f"WARNING: {run / 'data.json'} has keys that this version does not know, and "
        "that have no effect here: new, newer"
    ]


def test_settings_of_newer_versions(run, capsys):
    """They are ignored where they concern neither networks nor, if resumed, steps."""
    path = run / "config.json"
    written = json.loads(path.read_text())

    def add(section):
        path.write_text(json.dumps(written | {section: written[section] | {"new": 1}}))

    e = tiny.experiment()
    for section, loads, resumes in (
        ("run", True, True),
        ("evaluation", True, True),
        ("training", True, False),
        ("data", False, False),
        ("model", False, False),
    ):
        add(section)
        for used, works in (
            (lambda: workdir.load_description(run), loads),
            (lambda: workdir.keep_from_run(run, e), resumes),
            (lambda: workdir.check_resumable(run, e, DATA), resumes),
        ):
            if works:
                used()
                continue
            with pytest.raises(config.ConfigError) as raised:
                used()
            assert str(raised.value).startswith(
                f"{path} is damaged or was written by another version of this package: "
                "the conf"
            )
            assert f"unknown config key `{section}.new`" in str(raised.value)
        told = capsys.readouterr().out.splitlines()
        assert len(told) == loads + resumes  # once for each of the two programs
        for line in told:
            assert line.endswith(f"that have no effect here: {section}.new")


def test_numbers_that_are_not_finite_are_refused_in_config_json(run):
    path = run / "config.json"
    written = json.loads(path.read_text())
    for number in (float("nan"), float("inf"), 1e39, 10**400):
        training = written["training"] | {"r1_gamma": number}
        path.write_text(json.dumps(written | {"training": training}))
        with pytest.raises(config.ConfigError) as raised:
            config.load(path)
        assert str(path) in str(raised.value)
        assert "`training.r1_gamma` (=" in str(raised.value)


def test_a_damaged_environment_json_is_set_aside(run, capsys):
    path = run / "environment.json"
    for number, content in enumerate(('[{"time": "2026', "{}", "")):
        path.write_text(content)
        workdir.write_description(run, tiny.experiment(), DATA)
        assert len(json.loads(path.read_text())) == 1
        assert (run / "environment.json.damaged").read_text() == content
        told = capsys.readouterr().out
        assert told.startswith(f"WARNING: {path} is ") and "kept as" in told, number
    workdir.write_description(run, tiny.experiment(), DATA)
    assert len(json.loads(path.read_text())) == 2


def test_a_refused_resume_names_the_way_to_start_from_its_networks(tmp_path):
    run = epath.Path(tmp_path / "my runs" / "a")
    workdir.write_description(run, tiny.experiment(), DATA)
    other = tiny.experiment({"training.r1_gamma": 1.0, "training.ema_rampup": 0.05})
    with pytest.raises(ValueError) as raised:
        workdir.check_resumable(run, other, DATA)
    message = str(raised.value)
    assert "\n  training.r1_gamma: 10.0 there, 1.0 now\n" in message
    flag = shlex.quote(f"--config.training.transfer={run}")
    assert f"add {flag} (with --config.training.ema_rampup=0)" in message
    assert shlex.split(flag) == [f"--config.training.transfer={run}"]


def test_at_most_twenty_differences_are_shown(run):
    values = config.to_dict(tiny.experiment())
    changed = [
        (section, name)
        for section in ("model", "training")
        for name, value in values[section].items()
        if type(value) in (int, float)
        and f"{section}.{name}" not in workdir.CHANGEABLE_SETTINGS
    ]
    assert len(changed) > 25
    e = tiny.experiment()
    for section, name in changed:
        part = dataclasses.replace(
            getattr(e, section), **{name: values[section][name] + 1}
        )
        e = dataclasses.replace(e, **{section: part})
    with pytest.raises(ValueError) as raised:
        workdir.check_resumable(run, e, DATA)
    shown = [x for x in str(raised.value).splitlines() if x.startswith("  ")]
    assert len(shown) == 21
    assert shown[-1] == f"  ... and {len(changed) - 20} more"


def test_the_network_that_a_run_started_from_is_kept(run, tmp_path):
    """Without the flag, a resumed run adapts its augmentations as before."""
    started = tiny.experiment({"training.transfer": "runs/other"})
    workdir.write_description(tmp_path, started, DATA)
    kept, told = workdir.keep_from_run(tmp_path, tiny.experiment())
    assert kept == started and told == []


def test_the_precision_of_a_run_is_kept(run):
    e = tiny.experiment()
    assert workdir.keep_from_run(run, e) == (e, [])
    changes = {"model.dtype": "bfloat16", "model.float32_precision": "high"}
    changed = tiny.experiment(changes)
    kept, told = workdir.keep_from_run(run, changed)
    assert kept == e
    assert told == [
        "keeping `model.dtype` 'float32' from config.json instead of 'bfloat16'",
        "keeping `model.float32_precision` 'highest' from config.json "
        "instead of 'high'",
    ]
