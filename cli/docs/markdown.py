"""Text of the program as Markdown."""

from itertools import cycle


def inline(text: str) -> str:
    """One paragraph for a line or a cell of a table: bars do not end the cell, and `<name>` outside of code shows."""
    pieces = " ".join(text.split()).replace("|", "\\|").split("`")
    escapes = cycle((True, False))  # every second piece stands between backticks
    return "`".join(
        piece.replace("<", "&lt;") if outside else piece for piece, outside in zip(pieces, escapes, strict=False)
    )
