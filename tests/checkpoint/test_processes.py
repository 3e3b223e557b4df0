"""Processes that are killed while saving, or restore what others saved."""

import signal
import socket
import time

import jax.numpy as jnp

from tests.checkpoint.states import assert_same, finish, open_, start, template


def test_kill_while_saving(tmp_path):
    process = start(
        """
        import sys, jax, jax.numpy as jnp
        from stylegan_jax.checkpoint import Checkpoints
        checkpoints = Checkpoints(sys.argv[1], keep=2)
        checkpoints.save(1, {"x": jnp.arange(10.0)}, {"step": 1})
        checkpoints.wait()
        big = jax.random.normal(jax.random.key(0), (20_000_000,))
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
        from stylegan_jax.checkpoint import CheckpointError, Checkpoints
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
        checkpoints.wait()

        # Where it fails in one process alone, all know: while it writes, ...
        told = []
        def fails(call, name):
            manager, real = checkpoints._manager, getattr(checkpoints._manager, name)
            def failing(*args, **kwargs):
                delattr(manager, name)  # fails once
                real(*args, **kwargs)
                raise OSError("the cable is out")
            if index == "1":
                setattr(manager, name, failing)
            try:
                call()
            except CheckpointError as error:
                told.append(str(error))
        checkpoints.save(3, {"x": items["x"]}, {"step": 3})
        fails(checkpoints.wait, "wait_until_finished")
        # ... as it begins, and when it is read.
        fails(lambda: checkpoints.save(4, {"x": items["x"]}, {"step": 4}), "save")
        fails(lambda: checkpoints.restore({"x": tree(0)}), "restore")
        reasons = ["reported by another process", "the cable is out"]
        assert len(told) == 3 and "could not be read" in told[2], told
        assert reasons[int(index)] in told[2], told
        reasons = ["another process of the run could not write", "the cable is out"]
        assert all(reasons[int(index)] in text for text in told[:2]), told
        assert not checkpoints._damaged
        # A process that closes its checkpoints waits for no other.
        checkpoints.save(5, {"x": items["x"]}, {"step": 5})
        fails(checkpoints.close, "wait_until_finished")
        assert len(told) == 3 + int(index), told
        """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    for process in [start(code, tmp_path, port, index) for index in (0, 1)]:
        finish(process)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.damaged", "4", "5"]
