"""dtui: open, fix and restart Docker containers by their writable layers, in the terminal."""

__version__ = "0.1.0"
