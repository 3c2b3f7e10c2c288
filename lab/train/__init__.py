"""The training engine: network, optimizer, trainer, checkpoints, scores. Needs torch, never streamlit."""
