"""EM over all rows: the fitter, its loop, and what surrounds it."""
