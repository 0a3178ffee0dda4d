"""Command lines whose mistakes cost one line."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, NoReturn


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line, without the usage, and exits with 2."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]  (the stubs have it in two halves)
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> Any:
        """As argparse does; an empty argument is refused, which would mean the working folder."""
        given = None if args is None else list(args)
        if given is not None and "" in given:
            self.error("an argument is empty; a shell variable that is not set?")
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Print `message` and leave."""
        self.exit(2, f"{self.prog}: {message} (python {self.prog} --help shows how)\n")
