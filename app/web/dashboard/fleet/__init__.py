"""The pages of workers and of queues."""
