"""Repair a video with a bundle: python infer.py video.mp4 --mask mask.png."""

import sys

from runtime.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
