"""Reading layers safely: the union, what changed, whiteouts, private mounts."""
