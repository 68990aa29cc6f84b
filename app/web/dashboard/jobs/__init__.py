"""The page of all jobs, and what is done to many."""
