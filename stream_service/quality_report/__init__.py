"""Evaluation of a finished file: which of its rows are bad, why, and the maps and lists that say so."""
