"""A program that was told to stop does not wait for a compilation."""

import subprocess
import sys
import textwrap

import pytest

from stylegan_jax.training import compilation, leaving
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
    with leaving.exit_without_waiting():
        cache = Slow(e, (), None, None, 0, lambda *_: None)
        for stage in growth.stages(e):
            cache.prepare(stage)
        began.wait()
        if sys.argv[2] == "done":
            while programs.compiling():
                time.sleep(0.01)
        cache.close()
        print("saved", programs.compiling())
        sys.exit(75)
    """


@pytest.mark.parametrize(
    ("seconds", "when"), [(600, "under way"), (0, "done")], ids=str
)
def test_leaves_with_its_status_and_output(seconds, when):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(seconds), when],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (75, f"saved {seconds > 0}\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("code", "status", "said"), [(None, 0, ""), (2, 2, ""), ("text", 1, "text\n")]
)
def test_what_sys_exit_was_given(monkeypatch, capsys, code, status, said):
    """It is left by the status that Python would have given."""
    left = []
    monkeypatch.setattr(leaving.os, "_exit", left.append)
    monkeypatch.setattr(compilation, "compiling", lambda: True)
    with pytest.raises(SystemExit), leaving.exit_without_waiting():
        sys.exit(code)
    assert left == [status]
    assert capsys.readouterr().err == said
