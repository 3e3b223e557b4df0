"""A program that was told to stop does not wait for a compilation."""

import subprocess
import sys
import textwrap

import pytest

from tests import tiny

# In the place of a compilation something that takes longer than the test may.
PROGRAM = """
    import sys, threading, time
    from stylegan_jax.training import growth, leaving, programs
    from tests import tiny

    began = threading.Event()

    class Slow(programs.ProgramCache):
        def _compile(self, stage):
            began.set()
            time.sleep(float(sys.argv[1]))

    e = tiny.experiment()
    with leaving.at_once():
        cache = Slow(e, (), None, None, 0, lambda *_: None)
        for stage in growth.stages(e):
            cache.prepare(stage)
        began.wait()
        if sys.argv[2] == "done":
            while programs.compiling():
                time.sleep(0.01)
        cache.close()
        print("saved", programs.compiling())
        sys.exit({"75": 75, "None": None, "text": "text", "done": 3}[sys.argv[2]])
    """


@pytest.mark.parametrize(
    ("seconds", "code", "status"),
    [(600, "75", 75), (600, "None", 0), (600, "text", 1), (0, "done", 3)],
)
def test_leaves_with_its_status_and_output(seconds, code, status):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(seconds), code],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (status, f"saved {seconds > 0}\n")
    assert done.stderr == ("text\n" if code == "text" else "")
