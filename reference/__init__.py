"""The plain formulation of DRIT, for tests and benchmarks. It is not installed."""
