"""Steering: the answers that the control socket gives, as documents of its interface definition."""
