"""Measurements, run by hand: what they find is in docs/. Nothing here is a test."""
