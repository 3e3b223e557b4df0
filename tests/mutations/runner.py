"""Makes mutations in copies of the project and runs their tests there."""

import concurrent.futures
import dataclasses
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests import quick_to_compile
from tests.mutations.mutation import Mutation
from tests.mutations.table import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("stylegan_jax", "tests", "configs", "pyproject.toml")
REPORT = ROOT / "docs" / "notes" / "mutations.md"
QUICK = "not (slow or aot or soak)"  # as `make test`
TIME_LIMIT_SECONDS = 900
CAUGHT, NO_TESTS_FAILED = 1, 0  # exit statuses of pytest
SURVIVED, ERROR = 1, 2  # exit statuses of ours


class BrokenMutation(ValueError):
    """A mutation that does not apply, or whose tests cannot judge it."""


@dataclasses.dataclass(frozen=True)
class Result:
    """Result of a mutation.

    Attributes:
      mutation: the mutation.
      caught_by: the test that failed; None if all passed.
      seconds: duration of its tests.
      error: why the mutation could not be judged; None if it was.
    """

    mutation: Mutation
    caught_by: str | None
    seconds: float
    error: str | None = None

    @property
    def text(self) -> str:
        """The outcome in a word."""
        if self.error:
            return "ERROR"
        return self.caught_by or "SURVIVED"


def mutated(mutation: Mutation, root: Path = ROOT) -> str:
    """Return the text of the mutated file.

    Raises:
      BrokenMutation: unless the old text occurs exactly once.
    """
    text = (root / mutation.file).read_text()
    count = text.count(mutation.old)
    if count != 1:
        raise BrokenMutation(
            f"{mutation.name}: {mutation.file} has its old text {count} times; it "
            "must be there exactly once. Adapt its entry in tests/mutations/."
        )
    return text.replace(mutation.old, mutation.new)


def copy_project(to: Path) -> None:
    """Copy all that tests need to a new directory, compiled files included."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name)
        else:
            shutil.copy2(source, to / name)


def run_tests(directory: Path, tests: Sequence[str]) -> subprocess.CompletedProcess:
    """Run the quick tests of some files, up to the first that fails."""
    flags = quick_to_compile.flags(importlib.metadata.version("jaxlib"))
    environment = os.environ | {
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", flags),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-m", QUICK, *tests],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_SECONDS,
    )


def run(mutation: Mutation | None, tests: Sequence[str]) -> tuple[str | None, float]:
    """Run tests on a mutated copy, or on an unchanged one.

    Returns:
      The test that failed, None if all passed; and the seconds that it took.

    Raises:
      BrokenMutation: if the mutation does not apply, or the tests could not run.
    """
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        directory = Path(name)
        copy_project(directory)
        if mutation is not None:
            (directory / mutation.file).write_text(mutated(mutation, directory))
        start = time.monotonic()
        done = run_tests(directory, tests)
        seconds = time.monotonic() - start
    if done.returncode == NO_TESTS_FAILED:
        return None, seconds
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::[^\n]*?)(?: - |$)", done.stdout, re.M)
    if done.returncode != CAUGHT or failed is None:
        what = "the unchanged project" if mutation is None else mutation.name
        raise BrokenMutation(
            f"{what}: pytest ended with status {done.returncode} and no failed test "
            f"in {', '.join(tests)}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return failed[1], seconds


def judge(mutation: Mutation) -> Result:
    """Run the tests of a mutation."""
    try:
        return Result(mutation, *run(mutation, mutation.tests))
    except BrokenMutation as error:
        return Result(mutation, None, 0.0, str(error))


def table(results: Sequence[Result]) -> str:
    """Return the results as Markdown."""
    rows = ["| mutation | kind | caught by | seconds |", "| --- | --- | --- | --: |"]
    for r in results:
        caught = f"`{r.caught_by}`" if r.caught_by else f"**{r.text}**"
        rows.append(
            f"| {r.mutation.name} | {r.mutation.kind} | {caught} | {r.seconds:.0f} |"
        )
    return "\n".join(rows) + "\n"


def report(results: Sequence[Result]) -> str:
    """Return the page of all results."""
    caught = sum(r.caught_by is not None for r in results)
    summary = f"{len(results)} mutations, {caught} caught."
    return (
        "# Mutations\n\n"
        "Small wrong changes to the training's mathematics, each made in a copy of the "
        "project on which a few quick tests are run: the first one that fails is "
        "named. `python -m tests.mutations` writes this page; "
        f"`tests/mutations/` holds the changes.\n\n{summary}\n\n" + table(results)
    )


def main(only: Sequence[str], jobs: int, baseline: bool, write: bool) -> int:
    """Run mutations and report them; return the exit status.

    Args:
      only: names of mutations; none for all.
      jobs: mutations to run at once.
      baseline: run the named tests on the unchanged project first.
      write: write the report.
    """
    known = {m.name: m for m in MUTATIONS}
    if unknown := set(only) - set(known):
        raise BrokenMutation(f"there are no mutations {sorted(unknown)}")
    chosen = [known[name] for name in only] or list(MUTATIONS)
    for mutation in chosen:
        mutated(mutation)
    if baseline:
        tests = list(dict.fromkeys(t for m in chosen for t in m.tests))
        failed, seconds = run(None, tests)
        if failed is not None:
            raise BrokenMutation(f"{failed} fails without any mutation")
        print(f"{len(tests)} files of tests pass without mutations, {seconds:.0f} s")
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(judge, chosen):
            results.append(result)
            line = f"{result.mutation.name}: {result.text} ({result.seconds:.0f} s)"
            print(line, result.error or "", flush=True)
    print("\n" + table(results))
    if write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(report(results))
    if any(r.error for r in results):
        return ERROR
    return SURVIVED if any(r.caught_by is None for r in results) else 0
