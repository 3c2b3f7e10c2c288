"""Pure arithmetic: learning-rate curves, group rates, the plan of a run, and what it costs."""
