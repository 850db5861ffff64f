"""A hostile answer, and a check that a page which shows it is unharmed."""

from playwright.async_api import Page, expect

HOSTILE = """<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">
[a](javascript:window.pwned=1) [b](data:text/html,<script>window.pwned=1</script>) [c](/v1/streams) [d](https://good.test/x)
<javascript:window.pwned=1> ![picture](https://evil.test/x.png) ![picture](javascript:window.pwned=1)

<iframe src="javascript:parent.pwned=1"></iframe> <b onclick="window.pwned=1">bold</b>

```html
<script>window.pwned = 1</script>
```
"""


async def check_harmless(page: Page) -> None:
    """Raises: AssertionError if a script of it ran, or if it made a forbidden element or link."""
    assert await page.evaluate("window.pwned") is None
    links = page.locator(".text a[href]")
    assert await links.evaluate_all("links => links.map(link => link.href)") == [
        "https://good.test/x",
        "https://evil.test/x.png",
    ]
    assert await page.locator(".text :is(script, img, iframe, b)").count() == 0
    await expect(page.locator(".text pre")).to_contain_text("<script>")
