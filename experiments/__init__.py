"""Settings and data of the experiments in docs/results.md."""
