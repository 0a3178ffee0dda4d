"""What bench.py measures: the whole way from file to file, each row in a process of its own."""
