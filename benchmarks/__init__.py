"""Speed benchmarks; each module is a program, described in its docstring."""
