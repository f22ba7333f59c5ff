"""Tails of a scalar mixture: the integral, odds, quantiles, tail means, Mills' ratio."""
