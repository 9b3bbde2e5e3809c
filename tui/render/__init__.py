"""Records as styled text, tables and pictures, without widgets. ``*_text`` returns Rich text, ``*_words`` a plain
string."""
