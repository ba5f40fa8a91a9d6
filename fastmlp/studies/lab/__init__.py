"""Common parts of the studies: sessions, results, figures and the overview page."""
