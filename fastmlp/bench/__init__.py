"""Benchmark against other libraries on the user's own machine: ``fastmlp bench``.

Every contender runs in its own process (`worker`), started in rounds by `runner`; `jobs` says what
is measured, `contenders` and `adapters` by whom, `report` and `figure` turn the records into a
table and a chart. Nothing here is imported by the rest of fastmlp but the command line.
"""
