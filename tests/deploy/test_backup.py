"""The drill: fill, back up, destroy, restore, and find everything but the sealed keys, in a new epoch."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from app import embedded
from app.cli import main as xyte_mcp

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy" / "backup"
AS_WORKER = "SET app.worker = 'on';"
FILL = f"""{AS_WORKER}
    INSERT INTO tasks (id, tenant, device_id, command, body, idempotent, not_after, epoch)
    VALUES (gen_random_uuid(), 'tenant', 'device', 'power_on', '{{}}', true, now() + interval '1 hour', 1);
    INSERT INTO task_secrets SELECT id, tenant, 'first', 'nonce', 'planted-ciphertext', not_after FROM tasks;
"""

Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder with PostgreSQL's programs; tests that cannot run say so."""
    folder = embedded.find_postgres().path.parent
    for name in ("pg_dump", "pg_restore", "psql"):
        if not (folder / name).exists():
            pytest.skip(f"NOT RUN: {folder} has no {name}, so backups are not tested here")
    return folder


def libpq(url: str) -> dict[str, str]:
    """A database's URL as the variables that PostgreSQL's programs read."""
    parts = urlsplit(url)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    found = {
        "PGHOST": given.get("host") or parts.hostname,
        "PGPORT": given.get("port") or (str(parts.port) if parts.port else None),
        "PGUSER": given.get("user") or parts.username,
        "PGPASSWORD": given.get("password") or parts.password,
        "PGDATABASE": parts.path.lstrip("/"),
    }
    return {name: value for name, value in found.items() if value}


def sql(environment: Environment, *statements: str) -> str:
    """What psql answers."""
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    commands = [word for statement in statements for word in ("-c", statement)]
    done = subprocess.run(["psql", *options, *commands], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run(environment: Environment, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A script's end, with its words."""
    command = ["bash", SCRIPTS / script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def database(
    servers: tuple[str, str], programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The environment of somebody who owns a filled database, as an ordinary role should."""
    url, name = servers[0], f"drill_{uuid4().hex[:8]}"
    shared = {"PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C", "BACKUP_DIR": str(tmp_path / "backups")}
    admin = shared | libpq(url)
    sql(admin, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'", f"CREATE DATABASE {name} OWNER {name}")
    parts = urlsplit(url)
    own = parts._replace(netloc=f"{name}:{name}@{parts.netloc.rpartition('@')[2]}", path=f"/{name}").geturl()
    monkeypatch.setenv("DATABASE_URL", own)
    assert xyte_mcp(["migrate"]) == 0
    environment = shared | libpq(own)
    sql(environment, FILL)
    yield environment
    sql(admin, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


def test_what_was_backed_up_comes_back_in_a_new_epoch_without_the_sealed_keys(database: dict[str, str]) -> None:
    backup = run(database, "backup.sh")
    assert backup.returncode == 0, backup.stderr
    file = Path(backup.stdout.strip())
    sql(database, f"{AS_WORKER} DELETE FROM tasks", "UPDATE meta SET epoch = 7")

    restored = run(database, "restore.sh", "--replace", file)

    assert restored.returncode == 0, restored.stderr
    assert (
        sql(database, f"{AS_WORKER} SELECT device_id, command, state, epoch FROM tasks") == "device|power_on|queued|1"
    )
    assert sql(database, f"{AS_WORKER} SELECT count(*) FROM task_events") == "1"
    assert sql(database, f"{AS_WORKER} SELECT count(*) FROM task_secrets") == "0"
    assert sql(database, "SELECT epoch FROM meta") == "2"
    assert xyte_mcp(["migrate"]) == 0
    assert b"planted-ciphertext" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


def test_a_success_is_told_to_prometheus_and_a_failure_is_not(database: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "xyte-backup.prom"
    told = database | {"BACKUP_METRICS_FILE": str(file)}

    run(told | {"PGDATABASE": "there_is_no_such_database"}, "backup.sh")
    after_a_failure = file.exists()
    run(told, "backup.sh")

    assert not after_a_failure
    assert file.read_text().startswith("xyte_backup_last_success_timestamp_seconds 1")


def test_other_tenants_rows_stay_hidden_after_a_restore(database: dict[str, str]) -> None:
    file = run(database, "backup.sh").stdout.strip()

    assert run(database, "restore.sh", "--replace", file).returncode == 0

    assert sql(database, "SET app.tenant = 'another'; SELECT count(*) FROM tasks") == "0"


def test_an_encrypted_backup_comes_back_with_its_password_only(database: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("NOT RUN: there is no openssl here, so encryption is not tested")
    password, other = tmp_path / "password", tmp_path / "other"
    password.write_text("a password of the drill\n")
    other.write_text("not that password\n")
    keyed = database | {"BACKUP_PASSWORD_FILE": str(password)}
    file = Path(run(keyed, "backup.sh").stdout.strip())

    wrong = run(database | {"BACKUP_PASSWORD_FILE": str(other)}, "restore.sh", "--replace", file)
    right = run(keyed, "restore.sh", "--replace", file)

    assert file.suffix == ".enc"
    assert b"PGDMP" not in file.read_bytes()
    assert wrong.returncode != 0
    assert right.returncode == 0, right.stderr


def test_a_database_with_tables_is_not_overwritten_unasked(database: dict[str, str]) -> None:
    file = run(database, "backup.sh").stdout.strip()

    refused = run(database, "restore.sh", file)

    assert refused.returncode == 1
    assert "--replace" in refused.stderr


def test_a_damaged_backup_changes_nothing(database: dict[str, str]) -> None:
    file = Path(run(database, "backup.sh").stdout.strip())
    file.write_bytes(file.read_bytes()[:-100])

    refused = run(database, "restore.sh", "--replace", file)

    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    assert sql(database, f"{AS_WORKER} SELECT count(*) FROM tasks") == "1"


def test_a_backup_that_cannot_be_made_leaves_no_file(database: dict[str, str]) -> None:
    failed = run(database | {"PGDATABASE": "there_is_no_such_database"}, "backup.sh")

    assert failed.returncode != 0
    assert list(Path(database["BACKUP_DIR"]).iterdir()) == []


@pytest.mark.parametrize("target", ["remote:bucket", "s3://bucket"])
def test_a_target_without_its_program_is_refused_before_anything_is_dumped(
    programs: Path, tmp_path: Path, target: str
) -> None:
    copier = "aws" if target.startswith("s3") else "rclone"
    kept = tmp_path / "bin"
    kept.mkdir()
    for name in ("bash", "mkdir", "mktemp", "rm"):
        (kept / name).symlink_to(str(shutil.which(name)))
    nobody = {"PATH": f"{programs}:{kept}", "PGDATABASE": "any", "BACKUP_DIR": str(tmp_path), "BACKUP_TARGET": target}

    refused = run(nobody, "backup.sh")

    assert refused.returncode == 1
    assert f"{copier} is missing" in refused.stderr


def test_old_backups_go_only_after_a_new_one_was_made(database: dict[str, str]) -> None:
    folder = Path(database["BACKUP_DIR"])
    folder.mkdir()
    old = folder / "xyte-20200101T000000Z.dump"
    old.write_text("old")
    os.utime(old, (0, 0))
    run(database | {"PGDATABASE": "there_is_no_such_database"}, "backup.sh")
    assert old.exists()

    made = run(database, "backup.sh")

    assert made.returncode == 0
    assert not old.exists()
