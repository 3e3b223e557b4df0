"""Transfer from trained networks: the arrays that are loaded and those that are not."""

import dataclasses
import functools
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, convert, train, workdir
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup, transfer
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR
from stylegan_jax.training.transfer import EMA, INITIALIZED, LEFT_OVER, LOADED
from tests import tiny

NETWORKS = (GENERATOR, DISCRIMINATOR, EMA)
STYLEGAN2 = {
    "model.family": "stylegan2",
    "model.g_architecture": "skip",
    "model.d_architecture": "resnet",
    "model.channel_base": 128,  # 16 channels at 4x4 and 8x8, 8 at 16x16
    "training.d_reg_interval": 2,
    "training.path_length_weight": 2.0,
    "training.g_reg_interval": 2,
}


OFFICIAL = Path(__file__).parents[1] / "golden/stylegan2_and_3/I5_torch_snapshot.pkl"


def experiment(**changes) -> config.Experiment:
    """Return an experiment with changes such as `resolution=8`."""
    section = {
        field.name: part.name
        for part in dataclasses.fields(config.Experiment)
        for field in dataclasses.fields(part.type)
    }
    named = {f"{section[k]}.{k}": v for k, v in changes.items()}
    return tiny.experiment(STYLEGAN2 | named)


@functools.cache  # tracing the networks takes most of the time
def abstract_state(e: config.Experiment, labels: int):
    return setup.build(e, parallel.local(), labels).abstract_state


def random_state(e: config.Experiment, seed: int, labels: int = 0):
    """Return a state of the right shapes with random numbers."""
    abstract = abstract_state(e, labels)
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.uniform(-1, 1, x.shape).astype(x.dtype)), abstract
    )


def save(directory, e: config.Experiment, items: dict, number=32, classes=()) -> str:
    """Write a directory as `train` or `convert` does, and return its path."""
    checkpoints = workdir.open_checkpoints(directory, 5, print)
    checkpoints.save(number, items, {"resolution": 16, "fade": 1.0})
    checkpoints.close()
    workdir.write_description(directory, e, workdir.DataInfo("test", 0, classes, ""))
    return str(directory)


def run_items(state) -> dict:
    return {"ema": state.ema, "training": state.replace(ema={})}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return the directory and the state of a run at 16x16."""
    e = experiment()
    state = random_state(e, seed=1)
    return save(tmp_path_factory.mktemp("source"), e, run_items(state)), state


def transferred_arrays(state) -> dict:
    """Return everything that is transferred, by (network, name)."""
    parts = transfer._parts(state)
    return {(net, n): np.asarray(x) for net in parts for n, x in parts[net].items()}


def outcomes(plan, network: str, outcome: str) -> set[str]:
    return {
        row.array
        for row in plan.rows
        if row.network == network and row.outcome == outcome
    }


def check_loaded(plan, before, after, source_state) -> None:
    """Check that the state agrees with the table and is otherwise unchanged."""
    states = (before, after, source_state)
    old, new, source = map(transferred_arrays, states)
    assert new.keys() == old.keys()
    for row in plan.rows:
        key = (row.network, row.array)
        if row.outcome != LEFT_OVER:
            expected = source if row.outcome == LOADED else old
            assert new[key].tobytes() == expected[key].tobytes(), key
        else:
            assert key not in new
    changed = ("params", "w_avg", "magnitudes", "ema")
    for field in dataclasses.fields(before):
        if field.name not in changed:
            assert getattr(after, field.name) is getattr(before, field.name)


def test_same_networks_are_loaded_completely(source):
    path, source_state = source
    state = random_state(experiment(), seed=2)
    plan = transfer.plan(path, state)
    assert {row.outcome for row in plan.rows} == {LOADED}
    after = plan.load(state)
    check_loaded(plan, state, after, source_state)
    assert np.array_equal(after.w_avg, source_state.w_avg)
    leaves = jax.tree.leaves((after.params, after.w_avg, after.ema))
    pointers = {leaf.unsafe_buffer_pointer() for leaf in leaves}
    assert len(pointers) == len(leaves)  # otherwise the step could not donate them


def test_spectrally_normalized_networks_become_ordinary_ones(tmp_path):
    e = experiment(spectral_norm=True)
    source_state = random_state(e, seed=1)
    judge = source_state.discriminator_variables(source_state.params[DISCRIMINATOR])
    source_path = save(tmp_path, e, run_items(source_state))
    for own in (experiment(), e):
        state = random_state(own, seed=2)
        after = transfer.plan(source_path, state).load(state)
        chex.assert_trees_all_close(after.params[DISCRIMINATOR], judge["params"])
        assert after.spectral is state.spectral


def test_higher_resolution_adds_layers(source):
    path, source_state = source
    state = random_state(experiment(resolution=32), seed=2)
    plan = transfer.plan(path, state)
    check_loaded(plan, state, plan.load(state), source_state)
    for network in (GENERATOR, EMA):
        assert not outcomes(plan, network, LEFT_OVER)
        fresh = outcomes(plan, network, INITIALIZED)
        assert fresh and all("blocks_3/" in n or "to_rgb_32/" in n for n in fresh)
    # The image enters at the new resolution, so the old FromRGB layer is not used.
    fresh = outcomes(plan, DISCRIMINATOR, INITIALIZED)
    assert fresh and all(n.startswith("params/blocks_3/") for n in fresh)
    left = outcomes(plan, DISCRIMINATOR, LEFT_OVER)
    assert left and all(n.startswith("params/blocks_2/from_rgb/") for n in left)


def test_arrays_of_other_shapes_are_not_loaded(source):
    path, source_state = source
    state = random_state(experiment(channel_max=8), seed=2)
    plan = transfer.plan(path, state)
    check_loaded(plan, state, plan.load(state), source_state)
    loaded = outcomes(plan, GENERATOR, LOADED)
    assert {"params/mapping/dense0/kernel/weight", "stats/w_avg"} <= loaded
    assert "params/blocks_2/conv1/weight" in loaded  # 8 channels in both networks
    assert "params/blocks_1/conv1/weight" in outcomes(plan, GENERATOR, INITIALIZED)


def test_other_labels_reinitialize_the_layers_that_take_them(source):
    path, source_state = source
    e = experiment(conditional=True)
    state = random_state(e, seed=2, labels=5)
    plan = transfer.plan(path, state)
    check_loaded(plan, state, plan.load(state), source_state)
    assert outcomes(plan, GENERATOR, INITIALIZED) == {
        "params/mapping/label_embedding/kernel/weight",
        "params/mapping/label_embedding/bias/bias",
        "params/mapping/dense0/kernel/weight",
    }
    mapping = ("label_embedding", *(f"dense{i}" for i in range(8)))
    assert outcomes(plan, DISCRIMINATOR, INITIALIZED) == {
        f"params/{layer}/{array}"
        for layer in ("dense1", *(f"mapping/{name}" for name in mapping))
        for array in ("kernel/weight", "bias/bias")
    }


def test_conditional_source(tmp_path):
    e = experiment(conditional=True)
    source_state = random_state(e, seed=1, labels=3)
    path = save(tmp_path, e, run_items(source_state), classes=("a", "b", "c"))
    state = random_state(e, seed=2, labels=3)
    plan = transfer.plan(path, state)
    assert {row.outcome for row in plan.rows} == {LOADED}


def test_converted_official_file(tmp_path):
    """The averaged and the trained generator of the file differ and are both loaded."""
    convert.convert(OFFICIAL, tmp_path / "converted")
    e = config.load(tmp_path / "converted" / "config.json")
    state = random_state(e, seed=2)
    plan = transfer.plan(str(tmp_path / "converted"), state)
    assert ({row.outcome for row in plan.rows}, plan.notes) == ({LOADED}, ())
    after = plan.load(state)
    average = workdir.load_generator(tmp_path / "converted").variables
    chex.assert_trees_all_equal(after.ema, average)
    trained, average = (
        tree["blocks_0"]["conv1"]["weight"]
        for tree in (after.params[GENERATOR], average["params"])
    )
    assert not np.array_equal(trained, average)


def test_averaged_generator_alone_is_used_for_both(tmp_path):
    e = experiment()
    average = random_state(e, seed=1).ema
    state = random_state(e, seed=2)
    plan = transfer.plan(save(tmp_path, e, {"ema": average}, number=0), state)
    after = plan.load(state)
    chex.assert_trees_all_equal(after.ema, average)
    chex.assert_trees_all_equal(after.params[GENERATOR], average["params"])
    assert np.array_equal(after.w_avg, average["stats"]["w_avg"])
    assert not outcomes(plan, DISCRIMINATOR, LOADED)
    text = "\n".join(plan.table())
    assert "it has no discriminator; this run's keeps its initialization" in text
    assert "it has only the averaged generator, which is used for both" in text
    generator, ema = after.params[GENERATOR], after.ema["params"]
    for a, b in zip(jax.tree.leaves(generator), jax.tree.leaves(ema), strict=True):
        assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()


def test_path_may_name_a_checkpoint(source, tmp_path):
    path, source_state = source
    e = experiment()
    newer = random_state(e, seed=3)
    run = save(tmp_path, e, run_items(source_state), number=32)
    save(tmp_path, e, run_items(newer), number=64)
    state = random_state(e, seed=2)
    for name, expected, number in (
        (run, newer, 64),
        (f"{run}/checkpoints/32", source_state, 32),
        (f"{run}/checkpoints/64", newer, 64),
    ):
        plan = transfer.plan(name, state)
        assert plan.name.endswith(f"checkpoint {number}")
        assert np.array_equal(plan.load(state).w_avg, expected.w_avg)
    with pytest.raises(ValueError, match="no checkpoint of step 5"):
        transfer.plan(f"{run}/checkpoints/5", state)


def test_table_lists_arrays_that_were_not_loaded(source):
    path, _ = source
    state = random_state(experiment(resolution=32), seed=2)
    plan = transfer.plan(path, state)
    table = plan.table()
    assert table[0].split("  ")[0] == "network"
    lines = {tuple(line.split()) for line in table}
    for line in (
        "generator params/to_rgb_32/weight initialised 1x1x4x3 -",
        "discriminator params/blocks_2/from_rgb/bias/bias left over - 8",
    ):
        assert tuple(line.split()) in lines
    rows = table.index(f"transfer from {plan.name}")
    assert rows == 1 + sum(row.outcome != LOADED for row in plan.rows)
    summary = table[rows:]
    assert summary[0] == f"transfer from {plan.name}"
    assert len(summary) == 1 + len(NETWORKS)
    for network, line in zip(NETWORKS, summary[1:], strict=True):
        numbers = [len(outcomes(plan, network, o)) for o in transfer.OUTCOMES]
        loaded, fresh, left = numbers
        assert line == (
            f"  {network}: {loaded} arrays loaded, {fresh} arrays initialised, "
            f"{left} arrays left over"
        )
        assert sum(numbers) == sum(row.network == network for row in plan.rows)


def test_source_without_matching_arrays_is_rejected(source):
    path, _ = source
    sizes = {"z_dim": 4, "w_dim": 4, "mapping_features": 4, "channel_max": 4}
    state = random_state(experiment(**sizes), seed=2)
    with pytest.raises(ValueError, match="no weight in .* has the name and shape"):
        transfer.plan(path, state)


@pytest.mark.parametrize("path", ["missing", "empty", "empty/checkpoints/3"])
def test_directory_without_a_run_is_rejected(tmp_path, path):
    (tmp_path / "empty").mkdir()
    state = random_state(experiment(), seed=2)
    with pytest.raises(ValueError, match="must be the --workdir of a training"):
        transfer.plan(str(tmp_path / path), state)


@pytest.mark.slow
def test_run_starts_from_another_run_only_once(tmp_path, capsys):
    lean = {"d_reg_interval": 0, "g_reg_interval": 0, "path_length_weight": 0.0}
    small = {"resolution": 8} | lean
    source_state = random_state(experiment(**small), seed=1)
    path = save(tmp_path / "source", experiment(**small), run_items(source_state))
    small |= {"transfer": path, "total_kimg": 0.016}
    run = tmp_path / "run"
    with tiny.quick_compilation():
        bad = experiment(**small | {"transfer": str(tmp_path / "nowhere")})
        with pytest.raises(ValueError, match="must be the --workdir of a training"):
            train.train(bad, run)
        assert not run.exists()
        first = train.train(experiment(**small), run)
        [event] = tiny.events(run, "transfer")
        assert event["source"] == f"{path}, checkpoint 32"
        assert {row["outcome"] for row in event["arrays"]} == {LOADED}
        assert f"transfer from {path}, checkpoint 32\n" in capsys.readouterr().out
        # Two steps change weights of about one by a few thousandths.
        assert int(first.images_seen) == 16
        const = first.params[GENERATOR]["blocks_0"]["const"]
        transferred = source_state.params[GENERATOR]["blocks_0"]["const"]
        np.testing.assert_allclose(const, transferred, atol=0.02)
        assert not np.array_equal(const, transferred)
        again = train.train(experiment(**small | {"total_kimg": 0.032}), run)
    assert int(again.images_seen) == 32
    assert not any(int(n) for n in again.skipped_total.values())
    assert len(tiny.events(run, "transfer")) == 1
    assert "transfer from" not in capsys.readouterr().out
    assert config.load(run / "config.json").training.transfer == path
