"""Reads films and sound: dates, cameras, sizes, tags. Runs in workers."""
