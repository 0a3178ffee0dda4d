"""Measure speed from file to file on this machine: python bench.py."""

import sys

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
