"""Measurements, each a command that writes a dated record into benchmarks/records/."""
