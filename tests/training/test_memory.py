"""Memory limits: the choice of accumulation rounds, and the advice to users."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from stylegan_jax import config, train
from stylegan_jax.runtime import parallel
from stylegan_jax.training import memory, schedule
from tests import tiny


@dataclasses.dataclass
class FakeProgram:
    """A compiled program whose activations take `temp_size_in_bytes`."""

    temp_size_in_bytes: float
    argument_size_in_bytes: int = 100
    output_size_in_bytes: int = 80
    alias_size_in_bytes: int = 70
    generated_code_size_in_bytes: int = 5

    def memory_analysis(self):
        return self


FIXED = 100 + 80 - 70 + 5


class FakeCompiler:
    """Compile phases "a" and "b"; b takes 1000 bytes divided by the rounds, plus 50."""

    def __init__(self, exhausted: tuple[int, ...] = ()):
        self.calls, self._exhausted = [], exhausted

    def __call__(self, name: str, rounds: int) -> FakeProgram:
        self.calls.append((name, rounds))
        if rounds in self._exhausted:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of HBM")
        return FakeProgram({"a": 10, "b": 50 + 1000 / rounds}[name])


def test_need():
    assert memory.need(FakeProgram(7)) == memory.Need(FIXED, 7)
    assert memory.need(FakeProgram(7)).total == FIXED + 7


@pytest.mark.parametrize(
    ("limit", "rounds", "calls"),
    [
        (None, 1, "a1 b1"),
        (FIXED + 1050, 1, "a1 b1"),
        # Two rounds might fit according to the need of one, and do.
        (FIXED + 550, 2, "a1 b1 a2 b2"),
        # Two rounds might fit, but do not; four do.
        (FIXED + 530, 4, "a1 b1 a2 b2 a4 b4"),
        # Two rounds cannot fit and are not tried.
        (FIXED + 310, 4, "a1 b1 a4 b4"),
    ],
)
def test_fit_chooses_the_fewest_rounds(limit, rounds, calls):
    compiler = FakeCompiler()
    programs, fitted = memory.fit(compiler, ["a", "b"], [1, 2, 4, 8], limit)
    assert " ".join(f"{name}{r}" for name, r in compiler.calls) == calls
    assert fitted == memory.Fit(rounds, "b", memory.Need(FIXED, 50 + 1000 / rounds))
    assert programs["b"].temp_size_in_bytes == fitted.need.temporary
    assert set(programs) == {"a", "b"}


def test_fit_returns_the_last_option_if_none_fits():
    _, fitted = memory.fit(FakeCompiler(), ["a", "b"], [1, 2, 4, 8], FIXED + 100)
    assert fitted.need.total > FIXED + 100
    compiler = FakeCompiler()
    _, fitted = memory.fit(compiler, ["b", "a"], [2], FIXED + 100)
    assert (
        fitted.rounds == 2 and len(compiler.calls) == 2
    )  # all phases are compiled, because they have to run


def test_compiler_that_runs_out_of_memory():
    compiler = FakeCompiler(exhausted=(1, 2))
    _, fitted = memory.fit(compiler, ["a", "b"], [1, 2, 4, 8], FIXED + 550)
    assert fitted.rounds == 4
    _, fitted = memory.fit(FakeCompiler((1, 2)), ["a", "b"], [1, 2], FIXED + 550)
    assert fitted.need.temporary == math.inf
    with pytest.raises(jax.errors.JaxRuntimeError):
        memory.fit(FakeCompiler((1,)), ["a", "b"], [1], None)


def experiment(**training) -> config.Experiment:
    settings = {f"training.{name}": value for name, value in training.items()}
    return tiny.experiment(tiny.STYLEGAN2 | settings)


@pytest.mark.parametrize(
    ("batch", "shards", "rounds", "changes"),
    [
        (8, 1, [1, 2, 4], {}),  # the path length uses every second image
        (16, 2, [1, 2, 4], {}),  # of eight parts, one image would be left for two
        (24, 8, [1, 3], {}),  # no number divides
        (16, 2, [1, 2, 4, 8], {"path_length_weight": 0.0}),
        (24, 1, [1, 2, 3, 6, 8, 12], {}),  # parts of 24, 12, 8, 4, 3 and 2 images
        (8, 1, [1, 2, 4, 8], {"path_length_weight": 0.0}),
        (8, 1, [4], {"accumulation_rounds": 4}),
    ],
)
def test_rounds_options(batch, shards, rounds, changes):
    e = experiment(**{"accumulation_rounds": None} | changes)
    assert memory.rounds_options(e, batch, shards) == rounds


def test_choosing_rounds_requires_a_known_memory_limit():
    devices, messages = parallel.data_parallel(), []
    assert devices.device_memory() is None  # as on every CPU
    assert memory.budget(experiment(), devices, messages.append).limit is None
    with pytest.raises(ValueError, match="set `run.device_memory_gib`"):
        memory.budget(experiment(accumulation_rounds=None), devices, messages.append)
    e = tiny.experiment({"run.device_memory_gib": 0.5})
    assert memory.budget(e, devices, messages.append).limit == 2**29


class FakeDevice:
    def __init__(self, **stats):
        self.memory_stats = lambda: stats or None


def test_devices_that_report_their_memory(monkeypatch):
    devices = parallel.data_parallel()
    devices_with_stats = [
        FakeDevice(bytes_limit=3 * 2**30),
        FakeDevice(bytes_limit=2 * 2**30),
    ]
    monkeypatch.setattr(jax, "local_devices", lambda: devices_with_stats)
    assert devices.device_memory() == 2 * 2**30
    budget = memory.budget(experiment(), devices, print)
    assert budget.limit == 0.9 * 2 * 2**30
    devices_with_stats.append(FakeDevice())
    assert devices.device_memory() is None


def test_advice(monkeypatch):
    e, devices = experiment(), parallel.data_parallel()
    (stage,) = schedule.build_stages(e)
    gib = memory.GIB
    fitted = memory.Fit(2, "g_path", memory.Need(1 * gib, 8 * gib))
    text = memory.advice(e, fitted, stage, 4 * gib, devices)
    assert text.startswith(
        "stage 8x8 does not fit the memory: phase g_path takes 9 GiB a device (1 GiB "
        "of it is state) in 2 round(s) of 4 images, and 4 GiB may be used; "
    )
    assert "remat" not in text  # it saves no memory on a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    text = memory.advice(e, fitted, stage, 4 * gib, devices)
    # 2 GiB per image: one of four fits, or one on each of 4 devices.
    assert "a batch of 2 (" in text and "; 3 devices or more" in text
    assert "`model.remat`='blocks'" in text and "`model.dtype`='bfloat16'" in text
    assert "shard_optimizer" not in text and text.endswith(
        "devices with 9 GiB of memory"
    )
    fitted = memory.Fit(2, "g_path", memory.Need(5 * gib, 8 * gib))
    text = memory.advice(e, fitted, stage, 4 * gib, devices)
    assert "batch of" not in text and "devices or more" not in text


@pytest.mark.slow
def test_training_with_rounds_chosen_by_the_memory_limit(tmp_path, capsys):
    """Chosen rounds equal the same number of configured rounds, bit for bit."""
    changes = {"training.total_kimg": 0.032, "training.batch_size": 16}
    changes |= {"data.resolution": 8}  # one stage
    open_ended = changes | {"training.accumulation_rounds": None}
    with tiny.quick_compilation():
        e = tiny.experiment(open_ended | {"run.device_memory_gib": 1.0})
        train.train(e, tmp_path / "one")
        needs = capsys.readouterr().out.split("memory: stage 8x8 ")[1]
        assert needs.startswith("in 1 round of 16 images takes ")
        one = float(needs.split("takes ")[1].split()[0])
        limit = {"run.device_memory_gib": one * 0.8}
        train.train(tiny.experiment(open_ended | limit), tmp_path / "many")
        printed = capsys.readouterr().out
        rounds = int(printed.split("memory: stage 8x8 in ")[1].split()[0])
        assert rounds > 1
        fixed = changes | {"training.accumulation_rounds": rounds}
        train.train(tiny.experiment(fixed), tmp_path / "fixed")
        assert "memory" not in capsys.readouterr().out
        many, fixed = (tiny.restored(tmp_path / n, 32) for n in ("many", "fixed"))
        tiny.assert_same(many, fixed)
        assert many["meta"]["accumulation_rounds"] == rounds
        others = tiny.restored(tmp_path / "one", 32)
        weight = next(k for k in many if "params" in k and "weight" in k)
        assert not np.array_equal(many[weight], others[weight])

        nothing = {"run.device_memory_gib": 1e-6}
        with pytest.raises(memory.DoesNotFit, match="stage 8x8 does not fit"):
            train.train(tiny.experiment(open_ended | nothing), tmp_path / "none")
        # Configured rounds only cause a warning.
        train.train(tiny.experiment(changes | nothing), tmp_path / "warned")
        assert "WARNING: stage 8x8 does not fit" in capsys.readouterr().out
