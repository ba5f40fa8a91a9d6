"""What the studies share: sessions, results, figures and the page of all."""
