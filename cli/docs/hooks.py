"""MkDocs' hooks: the site also has some pages and files that are not in docs/, and links lead to them there as well.

On a checkout a link such as `../enforcement/semantics.py` leads to the file. The site has a copy of each file that is
linked so, below `repository/`; a link to a file that does not exist stays as it is, and fails a strict build.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "examples/README.md": "examples.md"}
"""Pages of the site that people look for elsewhere in the checkout."""
_DOCS, _COPIES = "docs/", "repository/"
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<path>[^)#\s]+)")
_ITEM = re.compile(r"^(?P<marker>[-*]|\d+\.)\s+")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside of docs/."""
    root = Path(config.config_file_path).parent
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(root / path)))
    for path in sorted({path for file in files.documentation_pages() for path in outside(_text(file), file.src_uri)}):
        if (root / path).is_file():
            files.append(File.generated(config, place(path), abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to where the site has what they mean."""
    del config
    known = {file.src_uri for file in files}
    return spaced(rewritten(markdown, page.file.src_uri, known))


def place(path: str) -> str:
    """Where the site has a file of the checkout."""
    if path in PAGES:
        return PAGES[path]
    # MkDocs leaves out what begins with a dot.
    return path.removeprefix(_DOCS) if path.startswith(_DOCS) else _COPIES + path.lstrip(".")


def origin(uri: str) -> str:
    """Where the checkout has a file of the site."""
    return next((path for path, other in PAGES.items() if other == uri), _DOCS + uri)


def outside(markdown: str, uri: str) -> Iterator[str]:
    """The files of the checkout, outside of docs/, that a page links to and that are no pages of the site."""
    for match in _LINK.finditer(_FENCE.sub("", markdown)):
        path = _target(match["path"], uri)
        if place(path).startswith(_COPIES):
            yield path


def rewritten(markdown: str, uri: str, known: set[str]) -> str:
    """A page whose links lead to where the site has their targets; links to what it does not have stay."""

    def new(match: re.Match[str]) -> str:
        target = place(_target(match["path"], uri))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".") if target in known else match["path"]

    fenced = [match.span() for match in _FENCE.finditer(markdown)]
    return _LINK.sub(lambda match: match[0] if any(a <= match.start() < b for a, b in fenced) else new(match), markdown)


def spaced(markdown: str) -> str:
    """CommonMark as MkDocs' own Markdown wants it."""
    lines: list[str] = []
    offset, fenced, before = 0, False, ""
    for line in markdown.splitlines():
        text = line.lstrip(" ")
        item = None if fenced else _ITEM.match(text)
        indent = len(line) - len(text)
        inside = offset and (indent >= offset or not text)
        if not inside and not fenced and text and not item:
            offset = 0
        starts = "item" if item else "table" if text.startswith("|") and not fenced else ""
        if starts and before == "text":
            lines.append("")
        lines.append(" " * (4 + indent - offset) + text if inside and text else line)
        if item and not inside:
            offset = indent + len(item[0])
        if text.startswith("```"):
            fenced = not fenced
        before = starts or ("text" if text and not inside else "" if not text else before)
    return "\n".join([*lines, ""])


def _target(link: str, uri: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin(uri)), link))


def _text(file: File) -> str:
    return Path(file.abs_src_path or "").read_text(encoding="utf-8")
