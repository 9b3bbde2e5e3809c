"""What Python's os module lacks on Linux: system calls, rooted paths, mounts, processes. Nothing here knows Docker."""
