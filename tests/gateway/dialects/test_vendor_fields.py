"""What providers add to OpenAI's chunks, each in its own shape."""

from typing import Any

import pytest

from gateway.dialects.vendor_fields import (
    add_reasoning_details,
    read_annotations,
    read_images,
    read_sources,
    read_usage,
)

URL = "https://a.test/page"


@pytest.mark.parametrize(
    ("fields", "sources"),
    [
        ({"citations": [URL]}, [(URL, None)]),
        ({"citations": [{"url": URL, "title": "A"}]}, [(URL, "A")]),
        ({"citations": [URL], "search_results": [{"title": "A", "url": URL, "date": "x"}]}, [(URL, "A"), (URL, None)]),
        ({"citations": ["javascript:alert(1)", "data:text/html,x", "/x", 7, None, {}, {"url": 7}, []]}, []),
        ({"citations": URL}, []),
        ({}, []),
    ],
)
def test_sources_beside_the_choices(fields: dict[str, Any], sources: list[Any]) -> None:
    assert list(read_sources(fields)) == sources


@pytest.mark.parametrize(
    ("annotation", "sources"),
    [
        ({"type": "url_citation", "url_citation": {"url": URL, "title": "A", "start_index": 0}}, [(URL, "A")]),
        ({"type": "url_citation", "url": URL, "title": ""}, [(URL, None)]),
        ({"type": "file_citation", "file_id": "f"}, []),
        ({"type": "url_citation", "url_citation": 7}, []),
    ],
)
def test_sources_in_a_delta(annotation: dict[str, Any], sources: list[Any]) -> None:
    assert list(read_annotations({"annotations": [annotation]})) == sources


@pytest.mark.parametrize(
    ("image", "files"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA"}},
            [("data:image/webp;base64,AA", "image/webp")],
        ),
        ({"image_url": "https://a.test/b.jpg?x=1"}, [("https://a.test/b.jpg?x=1", "image/jpeg")]),
        ({"image_url": {"url": "https://a.test/[b"}}, [("https://a.test/[b", "image/png")]),
        ({"image_url": {"url": "https://a.test/b.html"}}, [("https://a.test/b.html", "image/png")]),
        ({"image_url": {"url": "data:text/html,x"}}, []),
        ({"image_url": {"url": "javascript:x"}}, []),
        ({"image_url": 7}, []),
        ("x", []),
    ],
)
def test_images_in_a_delta(image: Any, files: list[Any]) -> None:
    for name in ("images", "content_parts"):
        assert list(read_images({name: [image]})) == files
        assert list(read_images({name: image})) == []


def test_usage_in_the_terms_of_the_ai_sdk() -> None:
    given = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
        "cost": 0.1,
    }
    tokens = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    assert read_usage(given) == {**tokens, "reasoningTokens": 1, "cachedInputTokens": 1}
    assert read_usage({"prompt_tokens": "3", "prompt_tokens_details": 7}) == {}
    assert read_usage(None) == {}


def test_pieces_of_reasoning_details_are_joined() -> None:
    def text(piece: str, **fields: Any) -> dict[str, Any]:
        return {"type": "reasoning.text", "text": piece, "format": "f", "index": 0, **fields}

    whole: list[dict[str, Any]] = []
    add_reasoning_details(whole, [text("Let "), text("me see", signature=None)])
    add_reasoning_details(whole, [text("", signature="x"), "odd", {"type": "reasoning.encrypted", "data": "y"}])
    add_reasoning_details(whole, [{"type": "reasoning.encrypted", "data": "z"}, text("Then", index=1)])
    add_reasoning_details(whole, {"type": "reasoning.text"})
    assert whole == [
        text("Let me see", signature="x"),
        {"type": "reasoning.encrypted", "data": "y"},
        {"type": "reasoning.encrypted", "data": "z"},
        text("Then", index=1),
    ]
