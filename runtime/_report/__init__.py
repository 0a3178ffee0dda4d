"""Behind runtime/report.py: its pictures, charts, pages and the script and style that they carry."""
