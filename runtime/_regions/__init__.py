"""Behind runtime/regions.py: tracks of holes, their groups, and the crops around them."""
