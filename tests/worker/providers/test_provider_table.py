"""The file of providers: what it means, and what is said about each mistake in it."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from tests.stack import ROOT
from worker.providers.provider_table import Provider, ProviderTableError, load_providers

SECRET = "sk-do-not-show"
DOCS = ROOT / "docs" / "providers.md"


def write(folder: Path, text: str) -> Path:
    path = folder / "providers.toml"
    path.write_text(text)
    return path


def load(folder: Path, text: str, **environ: str) -> tuple[Provider, ...]:
    return load_providers(write(folder, text), environ)


def test_the_example_of_the_docs_is_a_table(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    keys = {name: f"{SECRET}-{name}" for name in re.findall(r'api_key_env = "(\w+)"', example)}
    for name in re.findall(r'api_key_file = "(.+)"', example):
        (tmp_path / name).write_text(f"{SECRET}\n")
    found = {provider.name: provider for provider in load(tmp_path, example, **keys)}
    assert list(found) == ["openai", "azure", "ollama", "openrouter"]
    assert found["openai"].key == keys["OPENAI_API_KEY"]
    assert found["openrouter"].key == SECRET
    assert found["ollama"].key == ""
    assert found["openai"].options_for("o3-pro").first_chunk_timeout_s == 0
    assert found["openai"].options_for("gpt-4o").first_chunk_timeout_s == 60
    assert found["azure"].own_name_of("gpt-4o") == "my-gpt-4o"
    assert found["ollama"].own_name_of("local/llama3.2") == "llama3.2"


def default_of(field: FieldInfo) -> str:
    """As the docs write it."""
    default = None if field.is_required() else field.get_default()
    if default in (None, (), {}):
        return "-"
    if isinstance(default, bool):
        return str(default).lower()
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def test_the_docs_list_every_field_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", DOCS.read_text(), re.MULTILINE))
    fields = {name: field for name, field in Provider.model_fields.items() if name not in ("name", "model")}
    assert set(rows) == set(fields)
    assert rows == {name: default_of(field) for name, field in fields.items()}


def test_a_key_comes_from_the_file_itself_a_variable_or_another_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    text = """
        [providers.a]
        models = ["a"]
        api_key = "inline"
        [providers.b]
        models = ["b"]
        api_key_env = "B_KEY"
        [providers.c]
        models = ["c"]
        api_key_file = "key"
        [providers.d]
        models = ["d"]
    """
    keys = [provider.key for provider in load(tmp_path, text, B_KEY="from-variable")]
    assert keys == ["inline", "from-variable", "from-file", ""]


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    text = f"""
        [providers.a]
        models = ["a"]
        api_key = "{SECRET}"
        headers = {{ Authorization = "{SECRET}" }}
        query = {{ key = "{SECRET}" }}
    """
    assert SECRET not in repr(load(tmp_path, text))


@pytest.mark.parametrize(
    ("field", "place", "words"),
    [
        ("api_kye = 'sk-do-not-show'", "[providers.one] api_kye", "there is no such field"),
        ("api_key = 7", "[providers.one] api_key", ""),
        ('api_key = "sk-do-not-show\\u0007"', "[providers.one] api_key", "visible ASCII"),
        ("api_key = 'sk-do-not-show '", "[providers.one] api_key", "visible ASCII"),
        ("api_key = 'sk-do-not-show'\napi_key_env = 'X'", "[providers.one] api_key_env", "choose one"),
        ("api_key_env = 'NO_KEY'", "[providers.one] api_key_env", "the variable NO_KEY is not set"),
        ("api_key_file = 'none'", "[providers.one] api_key_file", "cannot be read"),
        ("base_url = 'ollama:11434'", "[providers.one] base_url", "it must be http://"),
        ("base_url = 'http://user:sk-do-not-show@host'", "[providers.one] base_url", "without a user"),
        ("azure = true\nbase_url = 'https://a.openai.azure.com'", "[providers.one] api_version", "Azure needs one"),
        ("azure = true\napi_version = '1'", "[providers.one] base_url", "Azure needs the endpoint"),
        ("api_version = '1'", "[providers.one] api_version", "only Azure"),
        ("azure = 'sk-do-not-show'", "[providers.one] azure", ""),
        ("fallback = ['two']", "[providers.one] fallback", "no provider 'two'"),
        ("fallback = ['one']", "[providers.one] fallback", "for itself"),
        ("name = 'two'", "[providers.one] name", "[providers.two]"),
        ("runs_at_once = -1", "[providers.one] runs_at_once", ""),
        ("retries = 1.5", "[providers.one] retries", ""),
        ("chunk_timeout_s = nan", "[providers.one] chunk_timeout_s", ""),
        ("chunk_timeout_s = '60'", "[providers.one] chunk_timeout_s", ""),
        ("breaker_pause_s = 0", "[providers.one] breaker_pause_s", ""),
        ("headers = { 'X Y' = 'sk-do-not-show' }", '[providers.one.headers] "X Y"', "not the name of a header"),
        ('headers = { X = "sk-do-not-show\\r\\nEvil: 1" }', "[providers.one.headers] X", "visible ASCII"),
        ("headers = { X = 'sk-do-not-showé' }", "[providers.one.headers] X", "visible ASCII"),
        ("query = { key = 1 }", "[providers.one.query] key", ""),
        ("passed_headers = ['X-Title', 'Authorization']", "[providers.one] passed_headers[1]", "never passed on"),
        ("passed_headers = ['cookie']", "[providers.one] passed_headers[0]", "never passed on"),
        ("passed_headers = ['X: Y']", "[providers.one] passed_headers[0]", "not the name of a header"),
        ("rename = { a = 1 }", "[providers.one.rename] a", ""),
        ("[providers.one.model.'o3*']\nchunk_timeout_s = -1", '[providers.one.model."o3*"] chunk_timeout_s', ""),
        ("[providers.one.model.o3]\nretries = 1", "[providers.one.model.o3] retries", "there is no such field"),
        ("[provider.two]\nmodels = ['x']", "provider", "there is no such field"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_a_secret(
    tmp_path: Path, field: str, place: str, words: str
) -> None:
    path = write(tmp_path, f"[providers.one]\nmodels = ['*']\n{field}\n")
    with pytest.raises(ProviderTableError) as failed:
        load_providers(path, {"NO_KEY": " "})
    told = str(failed.value)
    assert told.startswith(f"{path}: {place}"), told
    assert words in told
    assert "sk-do" not in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "providers: it is missing"),
        ("[providers]", "providers: "),
        ("providers = 1", "providers: "),
        ("[providers.one]", "[providers.one] models: it is missing"),
        ("[providers.one]\nmodels = 'gpt-*'", "[providers.one] models: "),
        ("[providers.one]\nmodels = ['a', '']", "[providers.one] models[1]: "),
        ("[providers.'a b']\nmodels = []", '[providers."a b"] name: '),
        ("[providers.one\napi_key = 'sk-do-not-show'", "it is not TOML: "),
        ("[providers.one]\napi_key = sk-do-not-show", "it is not TOML: "),
    ],
)
def test_a_file_that_is_not_a_table_of_providers_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ProviderTableError) as failed:
        load_providers(path, {})
    assert str(failed.value).startswith(f"{path}: {words}")
    assert "sk-do" not in str(failed.value)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(ProviderTableError, match=r"none\.toml: it cannot be read: No such file"):
        load_providers(path, {})
    path.write_bytes(b"\xff")
    with pytest.raises(ProviderTableError, match="UTF-8"):
        load_providers(path, {})


def test_the_first_pattern_that_fits_gives_the_options_of_a_model(tmp_path: Path) -> None:
    text = """
        [providers.a]
        models = ["*"]
        chunk_timeout_s = 5
        [providers.a.model."o3-mini*"]
        first_chunk_timeout_s = 7
        [providers.a.model."o3*"]
        first_chunk_timeout_s = 0
        chunk_timeout_s = 0
    """
    (provider,) = load(tmp_path, text)
    said = {name: provider.options_for(name) for name in ("o3-mini-high", "o3", "gpt-4o")}
    assert [(one.first_chunk_timeout_s, one.chunk_timeout_s) for one in said.values()] == [(7, 5), (0, 0), (None, 5)]


def test_names_are_translated_both_ways(tmp_path: Path) -> None:
    text = """
        [providers.a]
        models = ["gpt-4o", "local/*"]
        rename = { "gpt-4o" = "deployed", "local/*" = "*" }
    """
    (provider,) = load(tmp_path, text)
    assert [provider.own_name_of(name) for name in ("gpt-4o", "local/a/b", "other")] == ["deployed", "a/b", "other"]
    assert provider.callers_names_of("deployed") == ("deployed", "gpt-4o", "local/deployed")
    assert provider.named_models() == ("gpt-4o",)
