"""Command sets: plain classes with the actions of one subject, which the screens compose."""
