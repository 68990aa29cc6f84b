"""The `ffgrid` command."""
