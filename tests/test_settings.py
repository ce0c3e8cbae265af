"""Settings: read from the environment, checked, and explained when wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings

REQUIRED = {
    "DATABASE_URL": "postgresql://somebody:a-password@host/name",
    "REDIS_URL": "redis://:a-password@host:6379/0",
    "KEY_PEPPER": "a pepper of at least thirty-two characters",
    "SEALING_KEYS": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The least that must be set, and nothing else of ours."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def read() -> Settings:
    return Settings.model_validate({})


def test_the_defaults_are_safe(environment: pytest.MonkeyPatch) -> None:
    settings = read()

    assert settings.xyte_base_url == "https://hub.xyte.io"
    assert settings.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert settings.cors_origins == ()
    assert (settings.rate_limit_per_minute, settings.rate_limit_burst) == (60, 60)
    assert settings.device_commands_per_minute == 10
    assert settings.xyte_timeout_s == 15.0
    assert settings.xyte_answer_limit_bytes == 5 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("ALLOWED_HOSTS", " a.example, b.example ,", ("a.example", "b.example")),
        ("CORS_ORIGINS", "https://a.example", ("https://a.example",)),
        ("XYTE_BASE_URL", "https://eu.example/", "https://eu.example"),
        ("PUBLIC_URL", "https://gateway.example//", "https://gateway.example"),
        ("RATE_LIMIT_PER_MINUTE", "120", 120),
    ],
)
def test_each_is_one_environment_variable(
    environment: pytest.MonkeyPatch, name: str, value: str, expected: Any
) -> None:
    environment.setenv(name, value)

    assert getattr(read(), name.lower()) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_PER_MINUTE", "0"),
        ("RATE_LIMIT_PER_MINUTE", "many"),
        ("REPLICAS", "-1"),
        ("XYTE_TIMEOUT_S", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("KEY_PEPPER", "short"),
        ("BODY_LIMIT_BYTES", "0"),
        ("SEALING_KEYS", ""),
        ("SEALING_KEYS", "not base64!"),
        ("SEALING_KEYS", "c2hvcnQ="),
        ("TASKS_LEASE_S", "15"),
        ("TASKS_GRACE_S", "20"),
        ("CRASH_AT", "after_post"),
    ],
)
def test_what_makes_no_sense_is_refused_without_repeating_it(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(ValidationError) as refusal:
        read()

    assert name.lower() in str(refusal.value).lower()
    assert "input_value" not in str(refusal.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "KEY_PEPPER"])
def test_what_must_be_set_is_asked_for(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)

    with pytest.raises(ValidationError) as refusal:
        read()

    assert name.lower() in str(refusal.value)


def test_settings_show_no_secret(environment: pytest.MonkeyPatch) -> None:
    shown = repr(read())

    assert "a-password" not in shown
    assert REQUIRED["KEY_PEPPER"] not in shown
    assert REQUIRED["SEALING_KEYS"] not in shown


def test_lists_may_also_be_given_as_lists() -> None:
    given = {name.lower(): value for name, value in REQUIRED.items()}

    settings = Settings.model_validate(given | {"allowed_hosts": ["a.example"], "sealing_keys": [b"k" * 32]})

    assert settings.allowed_hosts == ("a.example",)
    assert settings.sealing_keys[0].get_secret_value() == b"k" * 32


def test_every_field_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
