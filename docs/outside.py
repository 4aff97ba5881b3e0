"""A hook of MkDocs: files that stand outside docs/ and that a page leads to come into the site as well.

So a link is written once, as GitHub reads it, from the page's own place in the repository. On the site the README is
the first page, and a report's Markdown is the page that lies beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the README, the committed reports, and whatever else a page links to."""
    waiting = [Path("README.md"), *(path.relative_to(ROOT) for path in _reports())]
    for file in files.documentation_pages():
        waiting += _targets(Path("docs", file.src_uri))
    while waiting:
        path = waiting.pop()
        uri = place(path)
        if (ROOT / path).is_file() and uri not in files.src_uris:
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
            if uri.endswith(".md"):
                waiting += _targets(path)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links between places in the repository into links between places on the site."""
    source = Path(page.file.abs_src_path).relative_to(ROOT)

    def there(match: re.Match[str]) -> str:
        return os.path.relpath(place(_resolved(source, match[1])), PurePosixPath(page.file.src_uri).parent)

    return LINK.sub(there, markdown)


def place(path: Path) -> str:
    """Where the site has a file of the repository."""
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    if path == Path("README.md"):
        return "index.md"
    if path.name == "README.md" and (ROOT / path).with_name("index.html").exists():
        return path.with_name("index.html").as_posix()
    return path.as_posix()


def _reports() -> Iterator[Path]:
    """Pages, figures and numbers; Markdown only where there is no page beside it."""
    for path in sorted((ROOT / "reports" / "reference").rglob("*.*")):
        if path.suffix != ".md" or not path.with_name("index.html").exists():
            yield path


def _targets(source: Path) -> Iterator[Path]:
    """The files that a page links to, from the top of the repository."""
    return (_resolved(source, link) for link in LINK.findall((ROOT / source).read_text(encoding="utf-8")))


def _resolved(source: Path, link: str) -> Path:
    return Path(os.path.normpath(source.parent / link))
