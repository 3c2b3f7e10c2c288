"""Run folders: what a run leaves on disk, how it is written and read. The folders are the truth."""
