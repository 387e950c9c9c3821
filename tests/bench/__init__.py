"""Measurements against other programs. They print figures and assert none."""
