"""What `ffgrid doctor` looks at: one module a subject."""
