"""The content security policies of the page: where its files may load from, and who may show them in a frame. No I/O.

web/Caddyfile sends the same policies; a test compares them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
_IMAGE_HOST = re.compile(rf"https:|https?://(?:\*\.)?{_NAME}")
_FRAME_ORIGIN = re.compile(rf"https?://{_NAME}")

FRAMED = "watch.html"
"""The only page that other sites may show in a frame."""
DIAGRAM = "diagram.html"
"""Draws diagrams. It needs styles in elements, so it has no origin, and can load nothing but its scripts."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {img_src}; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'none'; frame-ancestors {frame_ancestors}; base-uri 'none'"
)
DIAGRAM_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "sandbox allow-scripts"
)


@dataclass(frozen=True, slots=True)
class PagePolicy:
    """`image_hosts`: where images may come from. `frame_origins`: which sites may show an answer in a frame."""

    image_hosts: Sequence[str] = ()
    frame_origins: Sequence[str] = ()

    def find(self, path: str) -> str:
        """The policy of the file at `path`."""
        if path == DIAGRAM:
            return DIAGRAM_POLICY
        origins = " ".join(self.frame_origins) if path == FRAMED else ""
        images = " ".join(self.image_hosts)
        return POLICY.format(img_src=images, frame_ancestors=origins or "'none'").replace(" ;", ";")


def parse_image_hosts(text: str) -> tuple[str, ...]:
    """`text`: sources separated by spaces: `https://images.example.com`, `https://*.example.com`, or `https:` for all.

    Raises: ValueError.
    """
    return _parse(text, _IMAGE_HOST, "a source of images: https://images.example.com, https://*.example.com or https:")


def parse_frame_origins(text: str) -> tuple[str, ...]:
    """`text`: origins separated by spaces. Raises: ValueError."""
    return _parse(text, _FRAME_ORIGIN, "an origin: scheme://host, and :port unless it is the default")


def _parse(text: str, form: re.Pattern[str], expected: str) -> tuple[str, ...]:
    entries = tuple(text.split())
    for entry in entries:
        # Anything else would add to the policy: a comma begins another one, a semicolon another part.
        if form.fullmatch(entry) is None:
            raise ValueError(f"'{entry}' is not {expected}")
    return entries
