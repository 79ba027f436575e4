"""Checkpoints in and out: what is known, how it is fetched, and how it becomes this project's."""
