"""Data-roots read without their Engine: Docker's, podman's."""
