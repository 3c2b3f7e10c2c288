"""What a worker process does: runs, tasks, and the helper's short looks."""
