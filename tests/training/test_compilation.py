"""Compilation beside training: if it is allowed, and how a program ends during it."""

import json
import subprocess
import sys
import textwrap
import threading
import types

import pytest

from stylegan_jax.runtime import parallel, processes
from stylegan_jax.training import compilation, setup
from tests import tiny

# A fake compilation that takes longer than the test may.
PROGRAM = """
    import sys, threading, time
    from stylegan_jax.runtime import parallel
    from stylegan_jax.training import compilation, setup
    from tests import tiny

    began = threading.Event()

    class Slow(compilation.ProgramCache):
        def _compile(self, stage):
            began.set()
            time.sleep(float(sys.argv[1]))

    e = tiny.experiment()
    training = setup.build(e, parallel.local())
    with compilation.exit_without_waiting():
        cache = Slow(training)
        for stage in training.stages:
            cache.prepare(stage)
        began.wait()
        if sys.argv[2] == "done":
            while bool(compilation._running):
                time.sleep(0.01)
        cache.close()
        print("saved", bool(compilation._running))
        sys.exit(75)
    """


@pytest.mark.parametrize(("seconds", "when"), [(600, "running"), (0, "done")], ids=str)
def test_exit_keeps_status_and_output(seconds, when):
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
    ("code", "status", "printed"), [(None, 0, ""), (2, 2, ""), ("text", 1, "text\n")]
)
def test_exit_status_follows_sys_exit(monkeypatch, capsys, code, status, printed):
    """The process exits with the same status as without the context manager."""
    exit_statuses = []
    monkeypatch.setattr(processes.os, "_exit", exit_statuses.append)
    monkeypatch.setattr(compilation, "_running", {object()})
    with pytest.raises(SystemExit), compilation.exit_without_waiting():
        sys.exit(code)
    assert exit_statuses == [status]
    assert capsys.readouterr().err == printed


@pytest.mark.parametrize(
    ("platform", "expected"), [("cpu", True), ("tpu", True), ("gpu", False)]
)
def test_only_gpus_compile_nothing_beside_training(platform, expected):
    assert compilation.compiles_in_background(platform) is expected


@pytest.mark.parametrize("allowed", [True, False])
def test_a_stage_is_compiled_in_advance_only_if_allowed(monkeypatch, allowed):
    compiled, done = [], threading.Event()

    class Fake(compilation.ProgramCache):
        def _compile(self, stage):
            compiled.append(stage.name)
            done.set()
            return {}

    platforms = []
    monkeypatch.setattr(
        compilation,
        "compiles_in_background",
        lambda platform: (platforms.append(platform), allowed)[1],
    )
    training = setup.build(tiny.experiment(), parallel.local())
    cache = Fake(training)
    first, second = training.stages[:2]
    assert cache.prepare(first) is allowed
    assert done.wait(60 if allowed else 0.2) is allowed
    assert cache.get(first) == cache.get(first) == {}
    assert cache.prepare(first) is False
    assert cache.get(second) == {}
    assert compiled == [first.name, second.name]
    assert platforms == ["cpu"]
    cache.close()


def test_a_stage_is_announced_once_with_the_time_that_it_took_before(tmp_path):
    log = tmp_path / "log.jsonl"
    assert compilation.seconds_of_stages(log) == {}
    rows = [
        {"event": "compiled", "stage": "8x8", "seconds": 100.0},
        {"event": "stage", "stage": "8x8", "waited_seconds": 7.0},
        {"event": "compiled", "stage": "8x8", "seconds": 95.4},
        {"event": "compiled", "stage": "9x9"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    log.write_text(text + '{"event": "compiled", "stage": "16')
    assert compilation.seconds_of_stages(log) == {"8x8": 95.4}

    training = setup.build(tiny.experiment(), parallel.local())
    first, second = training.stages[:2]
    before = compilation.seconds_of_stages(log)
    cache = compilation.ProgramCache(training, seconds_before=before)
    assert cache.announcement(first) == (
        "compiling the 2 programs of stage 8x8: d_main, g_main; it took 1m 35s last "
        "time"
    )
    assert cache.announcement(first) is None
    assert cache.announcement(second) == (
        "compiling the 2 programs of stage 16x16 fading in: d_main, g_main; this may "
        "take minutes"
    )
    cache.close()


def test_a_wait_reports_the_program_that_is_being_compiled(monkeypatch):
    """A stage that is compiled already is neither announced nor waited for."""
    monkeypatch.setattr(compilation, "WAIT_SECONDS", 0.01)
    reported, told = [], {"g_main": threading.Event(), "d_main": threading.Event()}

    class Fake(compilation.ProgramCache):
        def lower(self, stage, index, platform=None, rounds=None):
            assert told[training.phase_names[index]].wait(60)
            return types.SimpleNamespace(compile=lambda: index)

    training = setup.build(tiny.experiment(), parallel.local())
    monkeypatch.setattr(
        compilation.memory, "need", lambda program: compilation.memory.Need(0, 0)
    )
    cache = Fake(training)
    stage = training.stages[0]

    def on_wait(name, seconds):
        reported.append(name)
        assert seconds >= 0
        if name:
            told[name].set()

    assert cache.get(stage, on_wait) == {"d_main": 0, "g_main": 1}
    assert [name for name in dict.fromkeys(reported) if name] == ["d_main", "g_main"]
    reported.clear()
    assert cache.announcement(stage) is None
    assert cache.get(stage, on_wait) == {"d_main": 0, "g_main": 1}
    assert reported == []
    cache.close()
