"""The queue, the supervisor that works it off, and the client that pages and commands call."""
