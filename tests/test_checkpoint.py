"""Checkpoints come back bit for bit, or are refused; what fails leaves no harm."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import SingleDeviceSharding

from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from stylegan_jax.checkpoint.integrity import signature

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
ROOT = Path(__file__).resolve().parent.parent


@flax.struct.dataclass
class State:
    params: dict
    opt_state: tuple
    images_seen: jax.Array
    key: jax.Array
    nothing: None = None


def make_state(seed, size=1000):
    key = jax.random.key(seed)
    params = {
        "conv": {"kernel": jax.random.normal(key, (3, size // 3))},
        "half": jax.random.normal(key, (7,), jnp.bfloat16),
        "counts": jnp.arange(5, dtype=jnp.uint8) + jnp.uint8(seed),
        "mask": jnp.array([True, False, True]),
    }
    optimizer = optax.adam(1e-3)
    return State(
        params,
        optimizer.init({"conv": params["conv"]}),
        jnp.uint32(seed),
        jax.random.key(seed),
    )


def template(tree):
    sharding = SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def assert_same(actual, desired):
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True):
        assert a.dtype == b.dtype
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


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


def open_(directory, keep=3):
    warned = []
    return Checkpoints(directory, keep=keep, on_warning=warned.append), warned


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


def test_what_a_checkpoint_holds(saved):
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
def test_damaged_checkpoint_is_skipped_loudly(saved, damage, reason):
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


def test_damaged_checkpoints_do_not_crowd_out_new_ones(saved):
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
        ({"other": {"w": jnp.zeros(7)}}, "no item `other`; it has .*ema.*state"),
        ({"ema": {"w": jnp.zeros(7)}}, r"bfloat16\[7\] .* but float32\[7\] is wanted"),
        ({"ema": {"w": jnp.zeros(8, jnp.bfloat16)}}, r"bfloat16\[8\] is wanted"),
        ({"ema": {"v": jnp.zeros(7)}}, "`ema/v` is missing from checkpoint 20"),
        ({"ema": {}}, "`ema/w` is unexpected in checkpoint 20"),
        (
            {"ema": {"w": jax.ShapeDtypeStruct((7,), jnp.bfloat16)}},
            "`ema/w` .* has no sharding",
        ),
    ],
)
def test_a_template_that_does_not_fit_is_no_damage(saved, wanted, message):
    checkpoints, warned = open_(saved)
    with pytest.raises(ValueError, match=message):
        checkpoints.restore(wanted)
    assert not warned


def test_unknown_step(saved):
    checkpoints, _ = open_(saved)
    with pytest.raises(CheckpointError, match=r"of step 15 .*steps \[10, 20\]"):
        checkpoints.restore({}, step=15)


def test_keeps_the_last_and_never_overwrites(tmp_path):
    checkpoints, _ = open_(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, {"x": jnp.float32(step)}, {})
    checkpoints.save(4, {"x": jnp.float32(99)}, {})
    checkpoints.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]
    assert float(checkpoints.restore({"x": jnp.float32(0)})[1]["x"]) == 4
    with pytest.raises(ValueError, match="must be above the newest one, 4"):
        checkpoints.save(2, {"x": jnp.float32(2)}, {})


def test_refuses_what_it_cannot_save(tmp_path):
    checkpoints, _ = open_(tmp_path)
    with pytest.raises(ValueError, match="`x/a` is a float32; only jax.Array"):
        checkpoints.save(1, {"x": {"a": np.float32(1)}}, {})
    with pytest.raises(ValueError, match="what JSON can hold"):
        checkpoints.save(1, {"x": jnp.ones(3)}, {"a": np.float32(1)})
    with pytest.raises(ValueError, match="`meta` is taken"):
        checkpoints.save(1, {"meta": jnp.ones(3)}, {})
    with pytest.raises(ValueError, match=r"`x/a` is \[0, 4\]"):
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


def test_every_changed_bit_and_every_exchange_changes_the_checksum():
    def sums(x):
        return [v[2] for v in signature(x).values()]

    for x in (
        np.zeros(33, np.float32),
        np.arange(24, dtype=np.int32).reshape(2, 3, 4),
        np.ones(5, jnp.bfloat16),
        np.zeros(9, np.uint8),
    ):
        before = sums(jnp.asarray(x))
        raw = x.view(f"uint{8 * x.dtype.itemsize}")
        for bit in range(8 * x.dtype.itemsize):
            changed = raw.copy()
            changed.flat[x.size // 2] ^= np.array(1 << bit).astype(raw.dtype)
            assert sums(jnp.asarray(changed.view(x.dtype))) != before
    # Round numbers a power of two apart: what a plain weighted sum would not see.
    x = np.zeros(8192, np.float32)
    x[0], x[4096] = 1, 2
    assert sums(jnp.asarray(x)) != sums(jnp.asarray(np.roll(x, 4096)))
    assert sums(jax.random.key(1)) != sums(jax.random.key(2))
    assert sums(jnp.array([True, False])) != sums(jnp.array([False, True]))


def fill_up(path):
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1000))


def check_failed_save(directory, break_disk, mend_disk, cause):
    checkpoints, _ = open_(directory, keep=1)
    checkpoints.save(1, {"x": jnp.arange(10.0)}, {})
    checkpoints.wait()
    big = jax.random.normal(jax.random.key(0), (400_000,))
    break_disk()
    try:
        checkpoints.save(2, {"x": big, "y": big + 1}, {})
        with pytest.raises(CheckpointError) as raised:
            checkpoints.wait()
        checkpoints.wait()  # said once
        # An unnoticed failure is told by the next save.
        checkpoints.save(2, {"x": big}, {})
        with pytest.raises(CheckpointError, match="saving step 2 to"):
            checkpoints.save(3, {"x": big}, {})
    finally:
        mend_disk()
    message = str(raised.value)
    assert message.startswith(f"saving step 2 to {directory} failed: ")
    assert cause in message
    assert "Its arrays take 3.2 MB; free on that disk" in message
    assert "The last complete checkpoint is step 1, unharmed." in message
    assert "\n" not in message
    assert checkpoints.latest_step() == 1
    step, items, _ = checkpoints.restore({"x": jnp.zeros(10)})
    assert step == 1
    np.testing.assert_array_equal(np.asarray(items["x"]), np.arange(10.0))

    small = jax.random.normal(jax.random.key(0), (50_000,))
    checkpoints.save(2, {"x": small}, {})
    checkpoints.close()
    assert [p.name for p in directory.iterdir() if p.name != "fill"] == ["2"]
    assert_same(open_(directory)[0].restore({"x": small})[1]["x"], small)


def test_failed_save(tmp_path, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    check_failed_save(
        tmp_path,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1])),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        "File too large",
    )
    assert not [r for r in caplog.records if r.exc_info]


@pytest.mark.parametrize("fill", [lambda p: p.write_bytes(bytes(900_000)), fill_up])
def test_full_disk(tmp_path, fill):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    filler = tmp_path / "fill"
    try:
        check_failed_save(
            tmp_path,
            lambda: fill(filler),
            filler.unlink,
            "the disk is full: ",
        )
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_lost_directory(tmp_path):
    """The program says so, and ends, where Orbax alone would wait for minutes."""
    code = """
        import os, shutil, sys, jax.numpy as jnp
        from stylegan_jax.checkpoint import CheckpointError, Checkpoints
        directory = sys.argv[1]
        checkpoints = Checkpoints(directory, keep=2)
        checkpoints.save(1, {"x": jnp.ones(3)}, {})
        checkpoints.wait()
        shutil.rmtree(directory)
        open(directory, "w").close()
        for step in (2, 3):
            try:
                checkpoints.save(step, {"x": jnp.ones(3)}, {})
            except CheckpointError as error:
                print(error)
        os.remove(directory)
        checkpoints.save(4, {"x": jnp.ones(3)}, {})
        checkpoints.close()
        """
    second, third = finish(start(code, tmp_path / "run")).splitlines()
    assert "saving step 2 to" in second and "File exists" in second
    assert "There is no complete checkpoint yet." in second
    assert "saving step 3 to" in third
    assert open_(tmp_path / "run")[0].latest_step() == 4


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_kill_while_saving(tmp_path):
    process = start(
        """
        import sys, jax, jax.numpy as jnp
        from stylegan_jax.checkpoint import Checkpoints
        checkpoints = Checkpoints(sys.argv[1], keep=2)
        checkpoints.save(1, {"x": jnp.arange(10.0)}, {"step": 1})
        checkpoints.wait()
        big = jax.random.normal(jax.random.key(0), (30_000_000,))
        checkpoints.save(2, {"x": big}, {"step": 2})
        checkpoints.wait()
        """,
        tmp_path,
    )
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline
        and process.poll() is None
        and not list(tmp_path.glob("2.*tmp*"))
    ):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert list(tmp_path.glob("2.*tmp*")) and not (tmp_path / "2").exists()

    checkpoints, warned = open_(tmp_path)
    assert checkpoints.latest_step() == 1
    step, items, _ = checkpoints.restore({"x": jnp.zeros(10)})
    assert step == 1 and not warned
    checkpoints.save(2, {"x": items["x"] + 1}, {})
    checkpoints.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def test_four_devices_to_one(tmp_path):
    code = """
        import sys, jax, jax.numpy as jnp
        jax.config.update("jax_num_cpu_devices", 4)
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from stylegan_jax.checkpoint import Checkpoints
        mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
        x = jnp.arange(4000.0).reshape(8, 500) / 7
        tree = {
            "split": jax.device_put(x, NamedSharding(mesh, P(None, "data"))),
            "whole": jax.device_put(x, NamedSharding(mesh, P())),
            "single": x,
        }
        checkpoints = Checkpoints(sys.argv[1], keep=1)
        checkpoints.save(1, {"x": tree}, {})
        step, items, _ = checkpoints.restore({"x": tree})
        assert items["x"]["split"].sharding == tree["split"].sharding
        assert (items["x"]["split"] == x).all()
        checkpoints.close()
        """
    finish(start(code, tmp_path))
    x = jnp.arange(4000.0).reshape(8, 500) / 7
    tree = {"split": x, "whole": x, "single": x}
    checkpoints, warned = open_(tmp_path)
    _, items, _ = checkpoints.restore({"x": template(tree)})
    assert not warned
    assert_same(items["x"], tree)


def test_two_processes(tmp_path):
    code = """
        import sys, jax, numpy as np
        directory, port, index = sys.argv[1:]
        jax.distributed.initialize(
            f"localhost:{port}", 2, int(index), initialization_timeout=60,
            heartbeat_timeout_seconds=10, shutdown_timeout_seconds=15)
        from pathlib import Path
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from jax.experimental.multihost_utils import sync_global_devices
        from stylegan_jax.checkpoint import Checkpoints
        mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
        make = lambda spec, k: jax.make_array_from_callback(
            (4, 600), NamedSharding(mesh, spec),
            lambda i: (np.arange(2400.).reshape(4, 600) * k)[i].astype(np.float32))
        tree = lambda k: {"split": make(P("data"), k), "whole": make(P(), k)}
        warned = []
        checkpoints = Checkpoints(directory, keep=2, on_warning=warned.append)
        for step in (1, 2):
            checkpoints.save(step, {"x": tree(step)}, {"step": step})
        checkpoints.wait()
        step, items, meta = checkpoints.restore({"x": tree(0)})
        assert (step, meta, warned) == (2, {"step": 2}, [])
        mine, saved = (t["split"].addressable_data(0) for t in (items["x"], tree(2)))
        assert np.array_equal(mine, saved)
        sync_global_devices("read")
        if index == "0":
            file = Path(directory, "2", "meta", "metadata")
            file.write_text(file.read_text().replace("2", "3"))
        sync_global_devices("damaged")
        step, items, meta = checkpoints.restore({"x": tree(0)})
        assert (step, meta, len(warned)) == (1, {"step": 1}, 1)
        checkpoints.save(2, {"x": items["x"]}, {"step": 2})
        checkpoints.close()
        """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    for process in [start(code, tmp_path, port, index) for index in (0, 1)]:
        finish(process)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "2.damaged"]


# --- the best ones -----------------------------------------------------------------


def test_the_best_are_kept_beside_the_newest(tmp_path):
    scores = {10: -5.0, 20: -3.0, 30: None, 40: -9.0, 50: -3.0, 60: -4.0}
    kept = []
    for half in ((10, 20, 30), (40, 50, 60)):  # by two runs of the program
        checkpoints = Checkpoints(tmp_path, keep=1, keep_best=2)
        for step in half:
            checkpoints.save(step, {"state": make_state(step)}, {}, scores[step])
            checkpoints.wait()
        checkpoints.close()
        kept.append(sorted(int(p.name) for p in tmp_path.iterdir()))
    # Of equals the newer; a reader, and one without scores, see the newest.
    assert kept == [[10, 20, 30], [20, 50, 60]]
    checkpoints, warned = open_(tmp_path)
    assert checkpoints.restore({"state": make_state(0)})[0] == 60
    assert not warned
