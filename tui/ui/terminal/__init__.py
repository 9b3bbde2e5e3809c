"""The terminal itself: a driver for lines that drop, and the filter of what is written."""
