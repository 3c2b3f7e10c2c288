"""Training ideas, one per file: a pure function first, a thin hook second."""
