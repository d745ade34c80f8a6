"""Answers from kept partial answers of files."""
