"""What a worker process does: runs and tasks. Brings data, training, run folders and exports together."""
