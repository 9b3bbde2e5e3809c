"""What can be done to a container's files, one module per kind of change."""
