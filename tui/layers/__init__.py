"""Reading layers safely: paths, detached mounts, whiteouts, views, changes."""
