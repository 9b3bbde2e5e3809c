"""A container's files: read, changed without harm, and brought back."""
