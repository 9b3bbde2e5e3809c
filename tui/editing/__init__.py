"""Changing files of containers without harm: documents, policy, safe saves."""
