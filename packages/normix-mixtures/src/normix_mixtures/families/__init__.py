"""The families, a joint and a marginal class per module."""
