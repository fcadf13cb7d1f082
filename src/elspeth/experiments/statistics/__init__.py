"""The formulas, as pure functions of sums, counts and lists; each names its source.

`docs/explanation/statistics.md` says the same in prose. Nothing here reads a database, and scipy
and statsmodels are loaded by the functions that need them (`distributions`, `power`).
"""
