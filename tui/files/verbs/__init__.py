"""What can be done to a container's files, one module a kind of change."""
