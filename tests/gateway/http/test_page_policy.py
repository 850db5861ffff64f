"""From where the page may load, and who may show it in a frame."""

import pytest

from gateway.http.page_policy import PagePolicy, parse_frame_origins, parse_image_hosts


def directives(policy: str) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


def test_by_default_the_page_loads_nothing_from_elsewhere_and_nobody_frames_it() -> None:
    for path in ("index.html", "watch.html", "page.js"):
        policy = directives(PagePolicy().find(path))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["img-src"] == "'self' data:"


def test_only_the_watch_page_may_be_framed_and_only_by_the_sites_of_the_setting() -> None:
    policy = PagePolicy(frame_origins=parse_frame_origins("https://a.example  http://[::1]:8080"))
    assert directives(policy.find("watch.html"))["frame-ancestors"] == "https://a.example http://[::1]:8080"
    for path in ("index.html", "runs.html"):
        assert directives(policy.find(path))["frame-ancestors"] == "'none'"


def test_the_sources_of_pictures_are_added() -> None:
    policy = PagePolicy(image_hosts=parse_image_hosts("https://a.example https://*.b.example:8443 https:"))
    wanted = "'self' data: https://a.example https://*.b.example:8443 https:"
    assert directives(policy.find("index.html"))["img-src"] == wanted


def test_the_page_of_diagrams_has_no_origin_and_loads_only_scripts() -> None:
    policy = directives(PagePolicy(image_hosts=("https:",)).find("diagram.html"))
    assert policy["sandbox"] == "allow-scripts"
    assert policy["default-src"] == "'none'"
    assert {name for name in policy if name.endswith("-src")} == {"default-src", "script-src", "style-src"}


@pytest.mark.parametrize(
    "text",
    [
        "a.example",
        "https://a.example,https://b.example",
        "https://a.example;",
        "'unsafe-inline'",
        "*",
        "https://a/b",
        "data:",
    ],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a source of images"):
        parse_image_hosts(text)


@pytest.mark.parametrize("text", ["a.example", "https://*.example.com", "https:", "https://a.example/", "'self'"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        parse_frame_origins(text)
