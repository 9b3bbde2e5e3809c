"""Modal questions that answer with a typed value."""
