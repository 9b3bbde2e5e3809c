"""Modal dialogs, each of which returns a typed answer."""
