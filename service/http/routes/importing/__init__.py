"""Files that are uploaded and imported."""
