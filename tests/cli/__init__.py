"""The `ffgrid` command. A package, because other folders have a test_main.py and a test_jobs.py too."""
