"""HTML as a tree: text and attributes are escaped when it is written, so that no text can become markup."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from hashlib import sha256
from xml.etree import ElementTree as ET

Node = ET.Element


def node(tag: str, attributes: Mapping[str, str], *children: Node | str) -> Node:
    """An element with its attributes and children; texts are made `visible`."""
    element = ET.Element(tag, {name: visible(value) for name, value in attributes.items()})
    extend(element, children)
    return element


def extend(parent: Node, children: Iterable[Node | str]) -> None:
    """Add children behind those that are there."""
    for child in children:
        if isinstance(child, Node):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + visible(child)
        else:
            parent.text = (parent.text or "") + visible(child)


def source(tag: str, text: str) -> Node:
    """A script or a style sheet, written as it is: for texts of the program's own only, never for a user's.

    Raises `ValueError` when the text would end its element early.
    """
    if "</" in text or "<!--" in text:
        raise ValueError(f"{tag}: its text holds markup")
    element = ET.Element(tag)
    element.text = text
    return element


def visible(text: str) -> str:
    """`text` with what cannot be seen spelt out: control characters, marks that turn the direction, lone surrogates.

    A file's name may hold all of them.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def picture_url(content: bytes, kind: str) -> str:
    """A file's content as an address; `kind` is png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def policy(style: str, script: str) -> str:
    """The content security policy of a page that loads nothing and runs nothing but these two texts."""
    hashes = [base64.b64encode(sha256(text.encode()).digest()).decode("ascii") for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        f"base-uri 'none'; form-action 'none'"
    )


def page(root: Node) -> bytes:
    """The document, UTF-8."""
    return b"<!doctype html>\n" + ET.tostring(root, encoding="utf-8", method="html")
