"""Vocabulary shared by every part: errors, frozen records, text that is safe to show."""
