"""The few calls of GitHub's REST API that the workflows make. Standard library only: nothing is installed for them."""

import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

_PAGE = 100
_MOST_PAGES = 30
_SECONDS = 30


class Repository:
    """The repository that the workflow runs in."""

    def __init__(self) -> None:
        """Take address, name and token from what every job has in its environment."""
        self._base = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
        self._token = os.environ["GITHUB_TOKEN"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Make one request.

        Raises:
            urllib.error.HTTPError: GitHub refused it.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._base}/{path}", data, method=method)  # noqa: S310 - GitHub's own address
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Accept", "application/vnd.github+json")
        request.add_header("X-GitHub-Api-Version", "2022-11-28")
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
            return json.loads(answer.read() or b"null")

    def every(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Everything in a list, page by page."""
        for page in range(1, _MOST_PAGES + 1):
            words = urllib.parse.urlencode({**query, "per_page": _PAGE, "page": page})
            found: list[dict[str, Any]] = self.call("GET", f"{path}?{words}")
            yield from found
            if len(found) < _PAGE:
                return
