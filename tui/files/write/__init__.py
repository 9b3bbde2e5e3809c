"""The only code that writes into a container's files."""
