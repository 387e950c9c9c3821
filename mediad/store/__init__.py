"""What the daemon remembers: one SQLite database that holds catalogue and journal together."""
