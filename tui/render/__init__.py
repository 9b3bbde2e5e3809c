"""Records as styled text, tables and pictures; no widgets."""
