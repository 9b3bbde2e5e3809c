"""Data-roots of Docker and podman, read without their Engine."""
