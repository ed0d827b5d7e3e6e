"""Data, tasks and the training loop."""
