"""One file a storage driver: where it keeps a container's layers on disk."""
