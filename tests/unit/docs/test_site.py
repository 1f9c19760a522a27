"""The docs site is built as `./maas docs` builds it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml
from markdown_it import MarkdownIt

from cli.docs import hooks
from cli.paths import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, f"A link, an anchor or a page's place is wrong:\n{done.stdout}{done.stderr}"
    return out


def places(entry: object) -> set[str]:
    """The pages of `nav` in mkdocs.yml, however deep."""
    if isinstance(entry, dict):
        return {place for each in cast("dict[str, object]", entry).values() for place in places(each)}
    if isinstance(entry, list):
        return {place for each in cast("list[object]", entry) for place in places(each)}
    return {str(entry)}


def test_every_page_has_a_place_in_the_navigation() -> None:
    listed = places(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    missing = sorted(pages - listed)
    assert not missing, f"Add these pages below `nav:` in mkdocs.yml, where readers would look for them: {missing}"
    assert listed - pages == set(hooks.PAGES.values()), "of other pages, only those that the hooks bring"


def test_the_site_asks_no_other_host_for_anything(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//|<link[^>]*\shref=[\"']?https?://"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not loaded.search(text.replace('rel="canonical"', "")), page
        assert 'class="mermaid"' not in text, f"{page}: Material loads Mermaid from another host; use ./maas graph svg"


def test_the_readme_is_the_first_page_and_its_links_lead_to_pages(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "Try it: two commands" in text
    assert re.search(r'href="?configuration/"?', text)
    assert not re.search(r'href="?docs/', text)


def test_a_file_outside_of_docs_that_a_page_links_to_is_in_the_site(site: Path) -> None:
    copy = site / "repository" / "enforcement" / "semantics.py"
    assert copy.read_bytes() == (ROOT / "enforcement" / "semantics.py").read_bytes()
    assert "repository/enforcement/semantics.py" in (site / "simulate" / "index.html").read_text(encoding="utf-8")


def test_lists_tables_and_code_are_on_the_site_as_they_are_on_a_checkout(site: Path) -> None:
    reader = MarkdownIt("commonmark").enable("table")
    for path in sorted(DOCS.rglob("*.md")):
        wanted = reader.render(path.read_text(encoding="utf-8"))
        uri = path.relative_to(DOCS).with_suffix("")
        page = site / (uri.parent if uri.name == "index" else uri) / "index.html"
        article = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
        for tag in ("<li", "<table", "<tr", "<pre", "<h2"):
            assert article.count(f"{tag}>") + article.count(f"{tag} ") == wanted.count(f"{tag}>"), (path.name, tag)


def test_links_are_led_to_where_the_site_has_the_target_and_code_stays_as_it_is() -> None:
    known = {"models.md", "index.md", "examples.md", "platforms/openshift.md", "repository/rules/usage.yaml"}

    def there(text: str, uri: str) -> str:
        return hooks.rewritten(text, uri, known)

    assert there("[a](docs/models.md#sources)", "index.md") == "[a](models.md#sources)"
    assert there("[a](../README.md)", "models.md") == "[a](index.md)"
    assert there("[a](../../rules/usage.yaml)", "platforms/openshift.md") == "[a](../repository/rules/usage.yaml)"
    assert there("[a](../docs/models.md)", "examples.md") == "[a](models.md)"
    for same in ("[a](https://example.com)", "[a](#here)", "[a](gone.md)", "```\n[a](../README.md)\n```"):
        assert there(same, "models.md") == same
    assert list(hooks.outside("[a](../rules/usage.yaml) [b](models.md)\n```\n[c](../x)\n```", "gpu.md")) == [
        "rules/usage.yaml"
    ]
