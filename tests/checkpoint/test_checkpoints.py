"""Checkpoints are restored bit for bit, or rejected."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from tests.checkpoint.states import assert_same, make_state, open_, template


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=size)


def size(path):
    return path.stat().st_size


def truncate(step):
    file = largest_file(step / "state")
    file.write_bytes(file.read_bytes()[: size(file) // 2])


def flip(step):
    file = largest_file(step / "state")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def change_meta(step):
    file = step / "meta" / "metadata"
    content = file.read_text()
    file.write_text(content.replace("20", "21"))
    assert file.read_text() != content


def empty(step):
    shutil.rmtree(step)
    step.mkdir()


@pytest.fixture
def saved(tmp_path):
    """A directory with checkpoints 10 and 20; the state is made from the step."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (10, 20):
        state = make_state(step)
        checkpoints.save(
            step, {"state": state, "ema": {"w": state.params["half"]}}, {"step": step}
        )
    checkpoints.close()
    return tmp_path


def test_round_trip(saved):
    checkpoints, warned = open_(saved)
    step, items, meta = checkpoints.restore({"state": template(make_state(0))})
    assert (step, meta, set(items)) == (20, {"step": 20}, {"state"})
    assert_same(items["state"], make_state(20))
    step, items, meta = checkpoints.restore({"state": make_state(0)}, step=10)
    assert (step, meta) == (10, {"step": 10})
    assert_same(items["state"], make_state(10))
    assert not warned


def test_restores_one_item_only(saved):
    shutil.rmtree(saved / "20" / "state")
    checkpoints, _ = open_(saved)
    half = jnp.zeros((7,), jnp.bfloat16)
    step, items, _ = checkpoints.restore({"ema": {"w": half}})
    assert step == 20
    assert_same(items, {"ema": {"w": make_state(20).params["half"]}})


def test_items_are_listed(saved):
    checkpoints, warned = open_(saved)
    held = checkpoints.items()
    assert {"state", "ema"} <= set(held) and checkpoints.items(10) == held
    change_meta(saved / "20")
    assert checkpoints.items() == held
    assert len(warned) == 1


def test_reading_creates_and_removes_nothing(tmp_path):
    unfinished = tmp_path / "30.orbax-checkpoint-tmp"
    unfinished.mkdir()
    checkpoints, _ = open_(tmp_path)
    assert checkpoints.latest_step() is None
    with pytest.raises(CheckpointError, match="no checkpoint in .*there is none"):
        checkpoints.restore({})
    missing, _ = open_(tmp_path / "missing")
    assert missing.latest_step() is None
    assert [p.name for p in tmp_path.iterdir()] == [unfinished.name]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "OUT_OF_RANGE"),
        (flip, "the checksum of `state/params/conv/kernel` differs"),
        (change_meta, "the checksum of the metadata differs"),
        (empty, 'Item "integrity" was not found'),
        (lambda step: shutil.rmtree(step / "state"), "state"),
    ],
)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(saved, damage, reason):
    damage(saved / "20")
    checkpoints, warned = open_(saved)
    step, items, meta = checkpoints.restore({"state": template(make_state(0))})
    assert (step, meta) == (10, {"step": 10})
    assert_same(items["state"], make_state(10))
    assert len(warned) == 1
    assert "checkpoint 20 in" in warned[0] and reason in warned[0]
    with pytest.raises(CheckpointError, match="tried 1: step 20:"):
        checkpoints.restore({"state": template(make_state(0))}, step=20)


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_nothing_intact(saved, damage):
    damage(saved / "10")
    damage(saved / "20")
    checkpoints, _ = open_(saved)
    with pytest.raises(CheckpointError, match="tried 2: step 20: .*; step 10: "):
        checkpoints.restore({"state": template(make_state(0))})
    assert checkpoints.latest_step() == 20


def test_damaged_checkpoints_do_not_displace_new_ones(saved):
    flip(saved / "20")
    checkpoints, _ = open_(saved, keep=1)
    state = checkpoints.restore({"state": make_state(0)})[1]["state"]
    checkpoints.save(15, {"state": state}, {})
    checkpoints.save(20, {"state": make_state(21)}, {})
    checkpoints.wait()
    assert sorted(p.name for p in saved.iterdir()) == ["20", "20.damaged"]
    assert_same(
        checkpoints.restore({"state": make_state(0)})[1]["state"], make_state(21)
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"other": {"w": jnp.zeros(7)}},
            "`other` is missing from checkpoint 20 .*ema.*state",
        ),
        ({"ema": {"w": jnp.zeros(7)}}, r"bfloat16\[7\] .* but must be float32\[7\]"),
        ({"ema": {"w": jnp.zeros(8, jnp.bfloat16)}}, r"must be bfloat16\[8\]"),
        ({"ema": {"v": jnp.zeros(7)}}, "`ema/v` is missing from checkpoint 20"),
        ({"ema": {}}, "`ema/w` is unexpected in checkpoint 20"),
        (
            {"ema": {"w": jax.ShapeDtypeStruct((7,), jnp.bfloat16)}},
            "`ema/w` .* has no sharding",
        ),
    ],
)
def test_a_template_that_does_not_match_is_not_damage(saved, wanted, message):
    checkpoints, warned = open_(saved)
    with pytest.raises(ValueError, match=message):
        checkpoints.restore(wanted)
    assert not warned


def test_unknown_step(saved):
    checkpoints, _ = open_(saved)
    with pytest.raises(CheckpointError, match="of step 15 .* steps 20, 10"):
        checkpoints.restore({}, step=15)


def test_the_newest_are_kept_and_never_overwritten(tmp_path):
    checkpoints, _ = open_(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, {"x": jnp.float32(step)}, {})
    checkpoints.save(4, {"x": jnp.float32(99)}, {})
    checkpoints.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]
    assert float(checkpoints.restore({"x": jnp.float32(0)})[1]["x"]) == 4
    with pytest.raises(ValueError, match="must be greater than the newest, 4"):
        checkpoints.save(2, {"x": jnp.float32(2)}, {})


def test_arguments_that_cannot_be_saved_are_rejected(tmp_path):
    checkpoints, _ = open_(tmp_path)
    with pytest.raises(ValueError, match="`x/a` is a float32; only jax.Array"):
        checkpoints.save(1, {"x": {"a": np.float32(1)}}, {})
    with pytest.raises(ValueError, match="serializable as JSON"):
        checkpoints.save(1, {"x": jnp.ones(3)}, {"a": np.float32(1)})
    with pytest.raises(ValueError, match="`meta` is reserved"):
        checkpoints.save(1, {"meta": jnp.ones(3)}, {})
    with pytest.raises(ValueError, match=r"`x/a` has shape \[0, 4\]"):
        checkpoints.save(1, {"x": {"a": jnp.ones((0, 4))}}, {})
    with pytest.raises(ValueError, match="`x` has no arrays"):
        checkpoints.save(1, {"x": {}}, {})
    with pytest.raises(ValueError, match="`keep`"):
        Checkpoints(tmp_path, keep=0)
    assert not list(tmp_path.iterdir())


def test_donation_after_save_is_safe(tmp_path):
    checkpoints, _ = open_(tmp_path)
    x = jnp.arange(300_000.0)
    expected = np.array(x)
    checkpoints.save(1, {"x": x}, {})
    overwritten = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)(x)
    overwritten.block_until_ready()
    restored = checkpoints.restore({"x": overwritten})[1]["x"]
    np.testing.assert_array_equal(np.asarray(restored), expected)
