"""The snippets of docs/use-it-with.md and the README, and the same ones for a run that exists already."""

import json
import re

from tests.stack import ROOT

PAPER = (ROOT / "docs" / "use-it-with.md").read_text()
README = (ROOT / "README.md").read_text()

_START_IN_PYTHON = 'client.post("/v1/streams", json=body).json()'
_START_IN_A_PAGE = 'await (await fetch("/v1/streams", { method: "POST", body })).json()'


def snippets(language: str, paper: str = PAPER) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", paper, re.DOTALL | re.MULTILINE)


def snippet_with(language: str, text: str) -> str:
    """The only snippet that contains the text."""
    (found,) = [snippet for snippet in snippets(language) if text in snippet]
    return found


def httpx_sse_snippet(events_url: str) -> str:
    """Watches the stream of this URL instead of starting a run."""
    snippet = snippet_with("python", "httpx_sse")
    assert _START_IN_PYTHON in snippet
    return snippet.replace(_START_IN_PYTHON, f'{{"urls": {{"events": {json.dumps(events_url)}}}}}')


def page_snippet(text: str) -> str:
    """Watches the stream that the page's address names (`events`, `status`) instead of starting a run."""
    snippet = snippet_with("browser", text)
    assert _START_IN_A_PAGE in snippet
    return snippet.replace(_START_IN_A_PAGE, "{ urls: Object.fromEntries(new URLSearchParams(location.search)) }")
