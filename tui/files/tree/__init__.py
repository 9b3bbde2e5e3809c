"""The kinds of trees that can be changed."""
