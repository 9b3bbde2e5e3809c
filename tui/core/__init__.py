"""Vocabulary shared by every package: errors, frozen records, ids, text that is safe to print, the state directory."""
