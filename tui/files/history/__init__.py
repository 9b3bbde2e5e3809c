"""What was changed: backups, journal, rollback, recovery after a crash."""
