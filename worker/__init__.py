"""The worker: claim -> run -> report."""
