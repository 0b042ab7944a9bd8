import datetime as dt
import json
from importlib import resources
from pathlib import Path

import pytest

from jobping.core.budget import Limits
from jobping.core.pricing import USD
from jobping.errors import ConfigError
from jobping.settings import Overrides, Secret, Settings, load

LIMITS = {
    "OPENAI_DAILY_TOKEN_LIMIT": "200000",
    "OPENAI_MONTHLY_TOKEN_LIMIT": "4000000",
    "OPENAI_DAILY_COST_LIMIT": "0.5",
    "OPENAI_MONTHLY_COST_LIMIT": "15",
    "OPENAI_ENABLE_FALLBACK": "False",
}
OWN = """
[budget.prices.own]
input = 0
output = 0
as_of = "2026-11-01"
source = "our own machine"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobping.toml"


def read(file: Path, text: str = "", **environ: str) -> Settings:
    file.write_text(text)
    file.chmod(0o600)
    return load(Overrides(config=file), {"HOME": "/home/me", **environ})


def mistake(file: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, text, **environ)
    return str(caught.value)


def origin(settings: Settings, key: str) -> tuple[str, str]:
    return next((v.value, v.origin) for v in settings.origins if v.key == key)


def test_limits_without_a_word_of_the_operator_are_the_documented_ones(file: Path) -> None:
    settings = read(file)
    assert settings.budget.limits == Limits(
        daily_tokens=100_000,
        monthly_tokens=3_000_000,
        daily_nanousd=10 * USD,
        monthly_nanousd=300 * USD,
    )
    assert settings.budget.fallback
    assert not settings.llm.is_on


def test_limits_of_the_environment_go_before_those_of_the_file(file: Path) -> None:
    settings = read(file, "[budget]\ndaily_tokens = 7\ndaily_cost_usd = 9", **LIMITS)
    assert settings.budget.limits == Limits(
        daily_tokens=200_000,
        monthly_tokens=4_000_000,
        daily_nanousd=USD // 2,
        monthly_nanousd=15 * USD,
    )
    assert not settings.budget.fallback
    assert origin(settings, "budget.daily_cost_usd") == (
        "0.5",
        "environment OPENAI_DAILY_COST_LIMIT",
    )


def test_limit_of_zero_is_zero_and_an_empty_variable_says_nothing(file: Path) -> None:
    settings = read(file, OPENAI_DAILY_COST_LIMIT="0", OPENAI_DAILY_TOKEN_LIMIT=" ")
    assert settings.budget.limits.daily_nanousd == 0
    assert settings.budget.limits.daily_tokens == 100_000


@pytest.mark.parametrize("variable", [name for name in LIMITS if name.endswith("LIMIT")])
@pytest.mark.parametrize("text", ["-1", "-0.5", "many", "nan", "inf", "1e99", "0.0000000001", "$5"])
def test_limit_that_cannot_be_meant_is_a_mistake(file: Path, variable: str, text: str) -> None:
    assert f"environment {variable} = {text!r}: must be" in mistake(file, **{variable: text})


def test_switch_that_is_no_truth_is_a_mistake(file: Path) -> None:
    assert "must be true or false" in mistake(file, OPENAI_ENABLE_FALLBACK="2")


@pytest.mark.parametrize("key", ["daily_tokens", "monthly_cost_usd"])
def test_negative_limit_of_the_file_is_a_mistake(file: Path, key: str) -> None:
    assert f"[budget] {key} = -1: must be" in mistake(file, f"[budget]\n{key} = -1")


def test_amount_of_the_file_is_read_as_it_is_written(file: Path) -> None:
    text = '[budget]\ndaily_cost_usd = 0.1\nmonthly_cost_usd = "0.300000001"'
    limits = read(file, text).budget.limits
    assert (limits.daily_nanousd, limits.monthly_nanousd) == (100_000_000, 300_000_001)


def test_key_of_the_environment_is_told_as_exposed_and_never_shown(file: Path) -> None:
    settings = read(file, OPENAI_API_KEY="sk-secret")
    assert settings.llm.api_key == Secret("sk-secret")
    assert settings.llm.is_on
    assert settings.exposed == (("openai_api_key", "OPENAI_API_KEY"),)
    assert origin(settings, "llm.api_key") == ("***", "environment OPENAI_API_KEY")
    assert "sk-secret" not in repr(settings)


def test_key_is_read_from_a_file_that_others_cannot_read(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-secret\n")
    key.chmod(0o600)
    settings = read(file, OPENAI_API_KEY_FILE=str(key))
    assert (settings.llm.api_key, settings.exposed) == (Secret("sk-secret"), ())
    key.chmod(0o644)
    assert "others can read this secret" in mistake(file, OPENAI_API_KEY_FILE=str(key))


def test_key_does_not_stand_in_the_file(file: Path) -> None:
    assert "[llm] api_key: unknown key" in mistake(file, '[llm]\napi_key = "sk-secret"')


def test_key_of_two_words_is_a_mistake_that_does_not_show_it(file: Path) -> None:
    said = mistake(file, OPENAI_API_KEY="sk secret")
    assert "openai_api_key: must be one word" in said
    assert "secret" not in said


def test_what_the_library_would_read_itself_is_ours_to_say(file: Path) -> None:
    environ = {"OPENAI_BASE_URL": "https://proxy.test/v1", "OPENAI_ORG_ID": "o"}
    settings = read(file, OPENAI_PROJECT_ID="p", **environ)
    llm = settings.llm
    assert (llm.base_url, llm.organization, llm.project) == ("https://proxy.test/v1", "o", "p")


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://u:p@x/v1", "https://x/v1?k=1", "x", "https://"]
)
def test_base_url_that_cannot_be_asked_is_a_mistake(file: Path, url: str) -> None:
    assert "must be a URL" in mistake(file, f'[llm]\nbase_url = "{url}"')


def test_compatible_server_needs_its_address_and_the_price_of_its_model(file: Path) -> None:
    text = '[llm]\ndialect = "compatible"\nmodels = ["own"]\n'
    said = mistake(file, text)
    assert "[llm] dialect: a compatible server needs its base_url" in said
    assert "[llm] models: own: no price is known" in said
    settings = read(file, text + 'base_url = "http://127.0.0.1/v1"' + OWN)
    assert settings.llm.is_on
    assert settings.budget.prices.prices["own"].base.output == 0


@pytest.mark.parametrize(
    ("models", "why"),
    [
        (["gpt-6-luna", "gpt-5.4-mini"], "gpt-5.4-mini is dearer than gpt-6-luna before it"),
        (["gpt-6.2-luna"], "gpt-6.2-luna: no price is known"),
        (["gpt-4o", "o1-preview"], "o1-preview: no price is known"),
        (["gpt-5.4-pro"], "gpt-5.4-pro: no strict JSON schema"),
    ],
)
def test_chain_that_cannot_work_is_a_mistake(file: Path, models: list[str], why: str) -> None:
    assert f"[llm] models: {why}" in mistake(file, f"[llm]\nmodels = {json.dumps(models)}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("as_of", "as_of is missing"),
        ("source", "source is missing"),
        ("output", "own: output: no number"),
        ("input", "own: input: no number"),
    ],
)
def test_own_price_that_is_not_whole_is_a_mistake(file: Path, line: str, why: str) -> None:
    text = "\n".join(row for row in OWN.splitlines() if not row.startswith(line))
    assert why in mistake(file, text)


def test_prices_file_goes_before_the_packaged_table(file: Path, tmp_path: Path) -> None:
    table = json.loads((resources.files("jobping.llm") / "prices.json").read_text())
    table |= {"as_of": "2026-11-26", "source": "the price page"}
    table["models"] = {"gpt-6-luna": table["models"]["gpt-6-luna"] | {"input": 0.2}}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(table))
    path.chmod(0o600)
    price = read(file, JOBPING_PRICES_FILE=str(path)).budget.prices.prices["gpt-6-luna"]
    assert (price.base.input, price.as_of) == (USD // 5, dt.date(2026, 11, 26))
    assert price.origin == str(path)
    path.write_text("{")
    assert f"prices: {path}: is not JSON" in mistake(file, JOBPING_PRICES_FILE=str(path))
    path.unlink()
    assert "named by environment JOBPING_PRICES_FILE" in mistake(
        file, JOBPING_PRICES_FILE=str(path)
    )
