"""Figures: what mixprec's commands cost, as ratios against a peer in the same run. ``nox -s bench`` runs them."""
