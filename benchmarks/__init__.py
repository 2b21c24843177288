"""Benchmarks: each measures the engine and the raw limit of the machine in one process and run."""
