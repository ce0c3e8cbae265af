"""A sealed key opens for what it belongs to, and for nothing else."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from app import worker
from app.cli import main as xyte_mcp
from app.errors import CredentialsUnavailable
from app.seal import Binding, Seal

OLD, NEW = b"o" * 32, b"n" * 32
BINDING = Binding(uuid4(), "tenant-a", datetime(2026, 11, 22, tzinfo=UTC))


def test_what_was_sealed_opens() -> None:
    seal = Seal([NEW])

    sealed = seal.close("a key", BINDING)

    assert seal.open(sealed, BINDING) == "a key"
    assert b"a key" not in sealed.ciphertext


@pytest.mark.parametrize(
    "other",
    [
        replace(BINDING, task=uuid4()),
        replace(BINDING, tenant="tenant-b"),
        replace(BINDING, expires_at=BINDING.expires_at + timedelta(hours=1)),
    ],
)
def test_it_opens_for_nothing_else(other: Binding) -> None:
    seal = Seal([NEW])

    with pytest.raises(CredentialsUnavailable):
        seal.open(seal.close("a key", BINDING), other)


def test_the_first_key_seals_and_all_open() -> None:
    before = Seal([OLD]).close("a key", BINDING)

    rotated = Seal([NEW, OLD])

    assert rotated.open(before, BINDING) == "a key"
    assert rotated.close("a key", BINDING).key_id != before.key_id


def test_a_dropped_key_opens_nothing() -> None:
    before = Seal([OLD]).close("a key", BINDING)

    with pytest.raises(CredentialsUnavailable):
        Seal([NEW]).open(before, BINDING)


@pytest.mark.parametrize("keys", [None, "", "not base64!", base64.b64encode(b"too short").decode()])
def test_a_missing_or_malformed_ring_is_one_line_at_the_start(
    keys: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "KEY_PEPPER"):
        monkeypatch.setenv(name, "postgresql://a-long-enough-text-for-any-of-them")
    monkeypatch.delenv("SEALING_KEYS", raising=False)
    if keys is not None:
        monkeypatch.setenv("SEALING_KEYS", keys)
    worker.default_settings.cache_clear()

    assert xyte_mcp(["worker"]) == 2

    complaint = capsys.readouterr().err
    assert complaint.startswith("xyte-mcp: setting SEALING_KEYS: ")
    assert complaint.count("\n") == 1
