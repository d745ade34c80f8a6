"""Answers to questions for series: the questions asked for them, and what is computed from their answers."""
