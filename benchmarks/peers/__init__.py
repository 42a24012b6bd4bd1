"""One module a library, with the same functions in each; `regoal.benchmarks.speed` times them in turn."""
