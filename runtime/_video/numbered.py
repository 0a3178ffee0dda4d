"""Names of pictures by a pattern like %05d.png."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.errors import OutputError

PATTERN = re.compile(r"(?P<before>[^%]*)%(?:0(?P<digits>\d{1,2}))?d(?P<after>[^%]*\.png)", re.IGNORECASE)


class Numbered:
    """The names that a pattern like `out/%05d.png` gives to numbers; raises `OutputError` when it is none."""

    def __init__(self, pattern: Path) -> None:
        match = PATTERN.fullmatch(pattern.name)
        if match is None:
            raise OutputError(
                f"{pattern}: not a pattern that can be used; wanted one number and .png, as in out/%05d.png"
            )
        self._before, self._after = match["before"], match["after"]
        self._digits = int(match["digits"] or 1)
        self._any = re.compile(re.escape(self._before) + "([0-9]+)" + re.escape(self._after))

    def of(self, number: int) -> str:
        """The name of a picture."""
        return f"{self._before}{number:0{self._digits}d}{self._after}"

    def alike(self, name: str) -> bool:
        """Whether the name is like one of the pattern's, with a number of whatever width."""
        return self._any.fullmatch(name) is not None

    def files(self, folder: Path) -> dict[int, Path]:
        """The files in `folder` whose names are exactly the pattern's, ascending; none where there is no folder."""
        found: dict[int, Path] = {}
        for path in folder.iterdir() if folder.is_dir() else ():
            match = self._any.fullmatch(path.name)
            if match is not None and self.of(int(match[1])) == path.name and not path.is_dir():
                found[int(match[1])] = path
        return dict(sorted(found.items()))
