"""Repair a video with a bundle: python infer.py video.mp4 --mask mask.png."""

import sys

from runtime.interruption import run_main

if __name__ == "__main__":
    sys.exit(run_main("runtime.cli", sys.argv[1:]))
