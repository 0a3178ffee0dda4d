"""Measure a bundle on clips: python evaluate.py BUNDLE CLIP CLIP."""

import sys

from calib.evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
