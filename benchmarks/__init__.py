"""Benchmarks: ratios measured in interleaved rounds of one run, never timed tests (DESIGN 8)."""
