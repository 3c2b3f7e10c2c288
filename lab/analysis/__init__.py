"""Stored numbers -> scores, curves, comparisons. Needs numpy, pandas and scipy; never torch."""
