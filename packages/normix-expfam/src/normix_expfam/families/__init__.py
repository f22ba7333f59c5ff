"""The families, one per module."""
