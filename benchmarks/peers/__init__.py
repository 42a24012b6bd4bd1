"""One module a library, with the same functions in each; `regoal.benchmarks.speed` has them timed in turn."""
