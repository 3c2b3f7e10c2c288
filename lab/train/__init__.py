"""The training engine: network, optimizer, trainer, checkpoints. Needs torch, never streamlit."""
