"""The page shows markdown as CommonMark and GFM define it, in whatever pieces it comes."""

import re
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.packages import install_node_packages
from tests.web.peer import Peer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

HERE = Path(__file__).parent
TOOLS = HERE / "tools"
EXAMPLE = re.compile(r"^`{32} example\n(.*?)^\.\n(.*?)^`{32}$", re.DOTALL | re.MULTILINE)
# CommonMark leaves bare addresses as text, GFM makes them links.
BARE_ADDRESSES = {
    "<https://foo.bar/baz bim>\n",
    "< https://foo.bar >\n",
    "https://example.com\n",
    "foo@bar.example.com\n",
}
SAFE_TAG = re.compile(
    "a|blockquote|br|button|code|div|em|h[2-6]|hr|input|li|ol|p|path|pre|rect|s|span|strong|sup|svg|table|tbody|td|th|thead|"
    "tr|ul"
)


@pytest.fixture(scope="session")
def examples() -> list[dict[str, str]]:
    """The examples of the CommonMark specification."""
    install_node_packages(TOOLS)
    text = (TOOLS / "node_modules/commonmark-spec/spec.txt").read_text().replace("→", "\t")
    return [{"markdown": markdown, "html": html} for markdown, html in EXAMPLE.findall(text)]


@pytest_asyncio.fixture(loop_scope="session")
async def checks(page: Page, peer: Peer) -> Page:
    """A page that has the functions of markdown_checks.js."""
    await page.goto(f"{peer.url}/manycast.d.ts")
    await page.evaluate(f"async () => {{ {(HERE / 'markdown_checks.js').read_text()} }}")
    return page


async def show(checks: Page, *pieces: str) -> str:
    """The HTML that the page makes of a text."""
    html: str = await checks.evaluate("(pieces) => checks.show(pieces).innerHTML", pieces)
    return html.replace(' dir="auto"', "")


async def test_the_examples_of_commonmark_give_what_it_defines(checks: Page, examples: list[dict[str, str]]) -> None:
    results: list[dict[str, Any]] = await checks.evaluate("(examples) => examples.map(checks.compare)", examples)
    score = {True: 0, False: 0}
    different = []
    for result, example in zip(results, examples, strict=True):
        if result["hasHtml"] or example["markdown"] in BARE_ADDRESSES:
            continue
        score[result["shown"] == result["expected"]] += 1
        if result["shown"] != result["expected"]:
            different.append((example["markdown"], result["shown"], result["expected"]))
    with_html = sum(result["hasHtml"] for result in results)
    print(f"CommonMark: {score[True]} of {sum(score.values())} examples; {with_html} others are about HTML")
    assert different == []
    assert score[True] > 550


async def test_html_is_text(checks: Page, examples: list[dict[str, str]]) -> None:
    everything = [example["markdown"] for example in examples]
    tags: list[str] = await checks.evaluate(
        "(texts) => [...new Set(texts.flatMap((text) => "
        "[...checks.show([text]).querySelectorAll('*')].map((each) => each.localName)))]",
        everything,
    )
    assert [tag for tag in tags if not SAFE_TAG.fullmatch(tag)] == []
    assert await show(checks, "<b>x</b>\n\n<div>\n*a*\n</div>\n\n<!-- c -->") == (
        "<p>&lt;b&gt;x&lt;/b&gt;</p><p>&lt;div&gt;\n<em>a</em>\n&lt;/div&gt;</p><p>&lt;!-- c --&gt;</p>"
    )


def link(address: str, text: str) -> str:
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">{text}</a>'


PICTURE = link("https://x.test/i.png", "a b").replace(">a b", ' data-kind="Picture: ">a b')

FAITHFUL = {
    "file_name_here.py": "<p>file_name_here.py</p>",
    "$HOME and $PATH, or $5 and $10": "<p>$HOME and $PATH, or $5 and $10</p>",
    "2 * 3 * 4": "<p>2 * 3 * 4</p>",
    "[a](https://x.test/y_(z))": f"<p>{link('https://x.test/y_(z)', 'a')}</p>",
    "see https://x.test/a, then": f"<p>see {link('https://x.test/a', 'https://x.test/a')}, then</p>",
    "(https://x.test/y_(z)).": f"<p>({link('https://x.test/y_(z)', 'https://x.test/y_(z)')}).</p>",
    "www.x.test": f"<p>{link('http://www.x.test/', 'www.x.test')}</p>",
    "me@x.test": f"<p>{link('mailto:me@x.test', 'me@x.test')}</p>",
    "x.test and main.py and 1.2.3.4 and //x.test": "<p>x.test and main.py and 1.2.3.4 and //x.test</p>",
    "ftp://x.test/ [a](javascript:x) [b](/v1)": "<p><a>ftp://x.test/</a> <a>a</a> <a>b</a></p>",
    "&amp; &copy; &#35;": "<p>&amp; © #</p>",
    "Head\n====\nSub\n---": "<h2>Head</h2><h3>Sub</h3>",
    "3) a\n4) b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "~~a~~": "<p><s>a</s></p>",
    "`~~a~~ <b>`": "<p><code>~~a~~ &lt;b&gt;</code></p>",
    "> a\nb": "<blockquote><p>a\nb</p></blockquote>",
    "![a *b*](https://x.test/i.png)": f'<p><span class="image">{PICTURE}</span></p>',
    "[![a](/i.png)](https://x.test/)": "<p>" + link("https://x.test/", '<span class="image">a</span>') + "</p>",
}


async def test_text_is_what_it_says(checks: Page) -> None:
    shown = {text: await show(checks, text) for text in FAITHFUL}
    assert shown == FAITHFUL


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
async def test_code_in_a_list_keeps_its_own_indentation_only(checks: Page, fence: str) -> None:
    text = f"1. run\n\n   {fence}python\n   def f():\n       pass\n   {fence}\n"
    code = "(text) => [...checks.show([text]).querySelectorAll('li pre code')].map((code) => code.textContent)"
    assert await checks.evaluate(code, text) == ["def f():\n    pass"]


async def test_a_table_has_its_alignment(checks: Page) -> None:
    html = await show(checks, "| a | b | c | d |\n|---|:--|:-:|--:|\n| 1 | `\\|` |\n")
    assert '<thead><tr><th>a</th><th class="left">b</th><th class="center">c</th><th class="right">d</th>' in html
    assert '<td>1</td><td class="left"><code>|</code></td><td class="center"></td><td class="right"></td>' in html


async def test_a_task_list_has_boxes(checks: Page) -> None:
    html = await show(checks, "- [x] *a*\n- [ ] b\n- [link]\n\n1. [X] c\n\n   [x] d\n")
    box = '<input type="checkbox" disabled=""{0} aria-label="Task">'
    done, undone = box.format(' checked=""'), box.format("")
    assert html == (
        f"<ul><li>{done}<em>a</em></li><li>{undone}b</li><li>[link]</li></ul>"
        f"<ol><li><p>{done}c</p><p>[x] d</p></li></ol>"
    )


async def test_a_footnote_stands_where_it_is_defined_and_its_mark_leads_there(checks: Page) -> None:
    shown = await checks.evaluate_handle(
        "(text) => document.body.appendChild(checks.show([text]))",
        "a[^n] [^none]\n\n[^n]: the *note*\n\n    more\n\nend",
    )
    await checks.get_by_role("button", name="Footnote n").click()
    focused = "(shown) => shown.querySelector('.footnote') === document.activeElement"
    assert await checks.evaluate(focused, shown)
    text = await shown.evaluate("(shown) => shown.innerText")
    assert re.sub(r"\s+", " ", text) == "an [^none] n the note more end"


LATE = [
    "# head\n[a]: https://x.test/\n'the\ntitle'\n\n[a]\n",
    "[a] [b][a]\n\n> [a]: https://x.test/1\n\n[a]: https://x.test/2\n",
    "text[^1]\n\n[^1]: first\n\n    second\n\n[^1]: again\n\n[^2] [^2]: no\n",
    "- a\n\n1. b\n\n-c\n\n- d\n- \n\n    e\n",
    "text\n| a | b |\n|---|---|\n| 1 |\n-2 | 3\n- 4\n",
    "text\n| a | b |\n|---|-x-|\n",
    "```\na\n``\n```x\n```\n~~~\n```\n",
    "> a\n$$\nx\n\n$$\n# y\n$$\n",
    "a\r\n\r\rb\r\n",
]


async def test_the_pieces_of_a_text_change_nothing(checks: Page, examples: list[dict[str, str]]) -> None:
    texts = LATE + [example["markdown"] for example in examples]
    assert await checks.evaluate("(texts) => checks.findDifferences(texts, 1)", texts) == []
    for longest in (1, 5, 60):
        mixed = "([texts, longest]) => checks.findDifferences(checks.mix(texts, 300), longest)"
        assert await checks.evaluate(mixed, [texts, longest]) == []


@pytest.mark.parametrize("longest", [1, 4, 40])
async def test_the_pieces_of_an_invented_text_change_nothing(checks: Page, longest: int) -> None:
    invented = """(longest) => {
      const random = checks.randomOf(longest);
      const texts = Array.from({ length: 400 }, () => checks.invent(random, 1 + Math.floor(random() * 60)));
      return checks.findDifferences(texts, longest);
    }"""
    assert await checks.evaluate(invented, longest) == []


async def test_each_paragraph_has_the_direction_of_its_language(checks: Page) -> None:
    directions = """async (text) => {
      const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/answer.css" });
      document.body.replaceChildren(style, checks.show([text]));
      await new Promise((resolve) => style.addEventListener("load", resolve));
      return [...document.querySelectorAll("p, h2, ol, td, blockquote")].map((it) => getComputedStyle(it).direction);
    }"""
    text = "one\n\nشكر world\n\n# شكر\n\n1. شكر\n\n| a | b |\n|---|---|\n| one | شكر |\n\n> شكر\n"
    assert await checks.evaluate(directions, text) == ["ltr", "rtl", "rtl", "rtl", "ltr", "rtl", "rtl", "rtl"]


FORMULAS = [
    ("the root $x^2$.", ["x^2"]),
    ("$a,$ $b$ and $5x$", ["a,", "b", "5x"]),
    ("a \\(x_1\\) and $$y$$ b", ["x_1", "y"]),
    ("$$\nx\n= y\n+ z\n$$\nafter", ["x\n= y\n+ z"]),
    ("\\[ x = 1 \\]\n\nnext", ["x = 1"]),
    ("text:\n\\[\nx = 1\n\\]\nwhere", ["x = 1"]),
    ("- a\n\n  $$\n  x\n  $$\n- b\n\n> \\[\n> y\n> \\]", ["x", "y"]),
    ("| $a$ | b |\n|---|---|\n| c | **$d$** |", ["a", "d"]),
]
NO_FORMULAS = [
    "$HOME and $PATH, $HOME/$USER, $A:$B",
    "pay $5 or $10, US$5, 5$ or 10$, ($5-$10), $5/month or $10/year",
    "$5M and 10M$ and $20 per head$",
    "`$a$` and $`a`$",
    "\\[1\\] and \\(\\) and [\\[x\\]](https://x.test/)",
    "\\$5$",
    "$$ open\n\n- list",
    "\\[ open\n\nnext \\]",
]


async def test_formulas_are_mathml(checks: Page) -> None:
    shown = """async ([text, count]) => {
      const element = await checks.showFormulas(text, count);
      return [...element.querySelectorAll("math")].map((math) => math.textContent.replace(/[\\s\u2061-\u2064]/g, ""));
    }"""
    for text, formulas in FORMULAS:
        found = await checks.evaluate(shown, [text, len(formulas)])
        assert found == [re.sub(r"[\s_^]", "", each) for each in formulas], text


async def test_what_is_no_formula_stays_text(checks: Page) -> None:
    formulas = "(text) => checks.show([text]).querySelectorAll('.math').length"
    assert [text for text in NO_FORMULAS if await checks.evaluate(formulas, text)] == []


async def test_a_formula_that_is_not_understood_or_means_harm_stays_text(checks: Page) -> None:
    await checks.evaluate("checks.showFormulas('$x$', 1)")
    hostile = [
        r"\href{javascript:window.pwned=1}{x}",
        r"\url{https://evil.test/}",
        r"\includegraphics{https://evil.test/x.png}",
        r"\class{x}{y} \id{x}{y} \style{position:fixed}{y}",
        r"\def\x{\x\x}\x",
        r"\nonsense{x}",
        r"\sqrt" * 900 + "x",
        "{" * 2000 + "x" + "}" * 2000,
        r"\frac{1}{" * 400 + "x" + "}" * 400,
    ]
    for formula in hostile:
        shown = await checks.evaluate("(text) => checks.measure(text, 100_000)", f"before ${formula}$ after")
        assert re.fullmatch("before .* after", shown["shown"], re.DOTALL)
        assert shown["depth"] < 80
        assert await checks.locator("a, img, .x, [id]").count() == 0
    for formula in hostile[-4:]:
        assert f"${formula}$" in await checks.evaluate("(text) => checks.show([text]).textContent", f"${formula}$")


FINISHED = "# Head\n\npara *a*\n\n- one\n- two\n\n```py\nx = 1\n```\n\n| a |\n|---|\n| 1 |\n\n> b\n\nlast\n"


async def test_a_finished_block_is_never_drawn_again(checks: Page) -> None:
    more = "line\n\n- [x] c\n\n1. d\n   - e\n\n```\nf\n```\n[g](https://x.test/)\n\n| h |\n|--|\n| i |\n"
    found = await checks.evaluate("([first, second]) => checks.findChanges(first, second)", [FINISHED, more])
    finished = FINISHED.count("\n\n")
    assert [index for index in found["changed"] if index < finished] == []
    assert found["unfinished"] < 30


async def test_only_what_refers_to_a_later_definition_is_drawn_again(checks: Page) -> None:
    first = "one [a]\n\ntwo [b]\n\nthree[^1]\n\n"
    found = await checks.evaluate(
        "([first, second]) => checks.findChanges(first, second)", [first, "four\n\n[a]: https://x.test/\n\nfive\n"]
    )
    assert 0 in found["changed"]
    assert {1, 2} & set(found["changed"]) == set()


async def test_a_growing_block_keeps_what_it_has(checks: Page) -> None:
    found = await checks.evaluate(
        "([first, second]) => checks.findChanges(first, second)", ["- one *a*\n- two `b`\n- thr", "ee\n- four\n"]
    )
    assert found["removed"] == 0


DEEP = [
    *("> ", ">", "- ", "* ", "1. ", "[^1]: ", "*_", "**", "~~", "*a ", "_a", "[", "![", "[a]("),
    *("(", "`", "\\[", "$", "&", "|", "<a"),
]


async def test_what_is_nested_too_deep_is_text(checks: Page) -> None:
    for markup in DEEP:
        text = markup * (6000 // len(markup)) + "word" + markup[::-1] * (6000 // len(markup))
        result = await checks.evaluate("(text) => checks.measure(text, 600)", text)
        print(f"{markup!r}: {result['depth']} deep, longest piece {result['longest']:.0f} ms")
        assert result["depth"] < 100, markup
        assert "word" in result["shown"], markup


async def test_nothing_is_lost_where_nesting_ends(checks: Page) -> None:
    deep = await checks.evaluate("(text) => checks.measure(text, 100_000)", "> " * 100 + "quoted\n\nafter")
    assert deep["shown"].endswith("> quotedafter")
    assert deep["shown"].count(">") == 60
    lists = "".join("  " * level + f"- item {level}\n" for level in range(60)) + "\nafter"
    shown = (await checks.evaluate("(text) => checks.measure(text, 100_000)", lists))["shown"]
    assert [level for level in range(60) if f"item {level}" not in shown] == []
    emphasis = await checks.evaluate("(text) => checks.measure(text, 100_000)", "*a " * 50 + "a*" * 50)
    assert emphasis["shown"].count("*") == 2 * (50 - 20)


async def test_invented_markdown_never_stops_the_page(checks: Page) -> None:
    fuzz = """() => {
      const random = checks.randomOf(7);
      const times = Array.from({ length: 150 }, () => checks.measure(checks.invent(random, 1000), 400).longest);
      return Math.max(...times);
    }"""
    print(f"the longest piece took {await checks.evaluate(fuzz):.0f} ms")
