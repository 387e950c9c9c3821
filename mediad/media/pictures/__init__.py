"""Reads pictures and RAW files: dates, cameras, sizes; nothing is decoded. Runs in workers."""
