"""Orbax with our settings: retention, and writes that fail."""

import threading

import pytest

from stylegan_jax.checkpoint import Checkpoints
from stylegan_jax.checkpoint.manager import ArrayHandler
from tests.checkpoint.states import make_state, open_, start


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
    # Of ties the newest; a reader, and one without scores, see the newest.
    assert kept == [[10, 20, 30], [20, 50, 60]]
    checkpoints, warned = open_(tmp_path)
    assert checkpoints.restore({"state": make_state(0)})[0] == 60
    assert not warned


class Write:
    """An item's write that fails when it is allowed to end."""

    def __init__(self):
        self.may_end, self.ended = threading.Event(), False

    def result(self, timeout):
        assert self.may_end.wait(timeout)
        self.ended = True
        raise OSError("the disk is full")


def test_after_a_failure_no_item_is_being_written():
    handler, writes = ArrayHandler(), [Write(), Write()]
    handler._writes.extend(writes)
    timer = threading.Timer(0.05, lambda: [w.may_end.set() for w in writes])
    timer.start()
    handler.drain_writes()
    assert all(write.ended for write in writes) and not handler._writes
    timer.join()


@pytest.mark.parametrize("failure", ["save", "read"])
def test_failures_print_nothing_of_their_own(tmp_path, failure):
    """Not even from other threads, or from destructors: the caller reports them."""
    code = """
        import gc, pathlib, resource, sys, jax, jax.numpy as jnp
        from stylegan_jax.checkpoint import CheckpointError, Checkpoints
        directory, failure = sys.argv[1:]
        checkpoints = Checkpoints(directory, keep=2, on_warning=print)
        arrays = lambda size: {str(i): jnp.arange(size) * i for i in range(20)}
        items = lambda size: {"x": arrays(size), "y": arrays(size)}
        for step in (1, 2):
            checkpoints.save(step, items(3000), {})
        checkpoints.wait()
        if failure == "save":
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
            try:
                checkpoints.save(3, items(300_000), {})
                checkpoints.wait()
            except CheckpointError as error:
                print("File too large" in str(error))
        else:
            for item in ("x", "y"):
                files = [*pathlib.Path(directory, "2", item).rglob("d/*")]
                for file in files:
                    file.write_bytes(file.read_bytes()[:-200])
            print(checkpoints.restore(items(3000))[0])
        checkpoints.close()
        del checkpoints
        gc.collect()
        """
    program = start(code, tmp_path, failure)
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert err == ""
    assert out.splitlines()[-1] == {"save": "True", "read": "1"}[failure]
