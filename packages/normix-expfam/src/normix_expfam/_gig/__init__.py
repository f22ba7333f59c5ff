"""The generalized inverse Gaussian distribution, for both backends and with its limits."""
