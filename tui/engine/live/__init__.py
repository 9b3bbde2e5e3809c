"""Engines that run: Docker's and podman's API over a unix socket, tcp or ssh, and containerd's own."""
