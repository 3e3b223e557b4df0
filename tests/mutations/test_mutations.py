"""The table of mutations applies to the code as it is; `slow`: the tests catch all."""

import collections

import pytest

from tests.mutations import runner
from tests.mutations.mutation import Mutation
from tests.mutations.table import MUTATIONS


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_it_applies_exactly_once(mutation):
    changed = runner.mutated(mutation)
    assert mutation.old != mutation.new
    compile(changed, mutation.file, "exec")  # Python still
    assert mutation.tests
    for test in mutation.tests:
        assert (runner.ROOT / test).is_file(), f"{mutation.name}: no file {test}"


def test_every_kind_has_at_least_two_of_different_names():
    names = [m.name for m in MUTATIONS]
    assert len(set(names)) == len(names) >= 40
    kinds = collections.Counter(m.kind for m in MUTATIONS)
    assert len(kinds) >= 21 and min(kinds.values()) >= 2, kinds


def test_a_mutation_that_does_not_apply_is_an_error(tmp_path):
    (tmp_path / "file.py").write_text("x = 1\nx = 1\n")
    for old, count in (("x = 1", 2), ("y", 0)):
        mutation = Mutation("name", "kind", "file.py", old, "z", ("tests/x.py",))
        with pytest.raises(runner.BrokenMutation, match=f"has its old text {count} ti"):
            runner.mutated(mutation, tmp_path)
    good = Mutation("name", "kind", "file.py", "x = 1\nx", "x = 2\ny", ())
    assert runner.mutated(good, tmp_path) == "x = 2\ny = 1\n"


def test_unknown_names_are_refused():
    with pytest.raises(runner.BrokenMutation, match="no mutations .*'unknown'"):
        runner.main(["unknown"], jobs=1, baseline=False, write=False)


def test_the_report_names_tests_and_survivors():
    first, second, third = MUTATIONS[:3]
    results = [
        runner.Result(first, "tests/a.py::test_b", 1.4),
        runner.Result(second, None, 2.6),
        runner.Result(third, None, 0.0, "cannot be judged"),
    ]
    rows = runner.table(results).splitlines()
    assert rows[2:] == [
        f"| {first.name} | {first.kind} | `tests/a.py::test_b` | 1 |",
        f"| {second.name} | {second.kind} | **SURVIVED** | 3 |",
        f"| {third.name} | {third.kind} | **ERROR** | 0 |",
    ]
    assert "3 mutations, 1 caught" in runner.report(results)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_it_is_caught(mutation):
    caught_by, _ = runner.run(mutation, mutation.tests)
    assert caught_by, f"no test of {', '.join(mutation.tests)} noticed {mutation.name}"
