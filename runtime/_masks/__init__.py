"""Behind runtime/masks.py: where masks come from, one file a kind of source."""
