"""Behind runtime/overlay.py: edges that stay where they are, and the shapes that they make."""
