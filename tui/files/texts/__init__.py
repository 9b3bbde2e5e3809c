"""A person's text that is kept on this host: unsaved, left by an editor, offered again."""
