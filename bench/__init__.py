"""Benchmarks. Each figure stands beside a reference of the same run."""
