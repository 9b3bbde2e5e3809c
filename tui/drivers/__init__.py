"""One module per storage driver: where it keeps a container's layers on disk."""
