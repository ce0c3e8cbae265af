#!/usr/bin/env bash
# Restore a file that backup.sh wrote: restore.sh [--replace] FILE
#
# Where: libpq's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD or PGPASSFILE, PGDATABASE). Stop the gateway and the
# workers first. A database that has tables is refused unless --replace is given, which drops them.
#
#   BACKUP_AGE_IDENTITY    file with the private key, for .age
#   BACKUP_PASSWORD_FILE   file with the password, for .enc; .gpg asks the caller's key ring
#
# In the same transaction the epoch rises: what was unfinished when the backup was made may have been sent since, so the
# worker ends it as outcome_unknown and sends nothing. Exit code 0 only if all of it is in the database.
set -euo pipefail
umask 077

fail() {
  echo "restore: $*" >&2
  exit 1
}

replace=false
if [[ ${1:-} == --replace ]]; then
  replace=true
  shift
fi
[[ $# == 1 ]] || fail "usage: restore.sh [--replace] FILE"
file=$1
: "${PGDATABASE:?restore: name the database in PGDATABASE}"
[[ -s $file ]] || fail "$file is empty or missing"
for program in psql pg_restore; do
  command -v "$program" >/dev/null || fail "$program is missing: install PostgreSQL's client programs"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ -f $file.sha256 ]]; then
  (cd "$(dirname "$file")" && sha256sum --quiet --check "$(basename "$file").sha256") || fail "$file is damaged"
fi
case $file in
  *.age) age --decrypt --identity "${BACKUP_AGE_IDENTITY:?restore: name the private key in BACKUP_AGE_IDENTITY}" --output "$work/dump" "$file" ;;
  *.gpg) gpg --batch --yes --decrypt --output "$work/dump" "$file" ;;
  *.enc) openssl enc -d -aes-256-cbc -pbkdf2 -iter 600000 -pass "file:${BACKUP_PASSWORD_FILE:?restore: name the password in BACKUP_PASSWORD_FILE}" -in "$file" -out "$work/dump" ;;
  *) cp "$file" "$work/dump" ;;
esac
pg_restore --list "$work/dump" >"$work/list" || fail "$file is not a backup, or the key is wrong"
grep -q "TABLE DATA public alembic_version " "$work/list" || fail "$file lacks the service's tables"

ask() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

tables=$(ask --command="SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
if [[ $tables != 0 && $replace == false ]]; then
  fail "the database has tables: --replace drops them"
fi

{
  if [[ $replace == true ]]; then
    echo "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
  fi
  # The dump names the schema only where it is not there by itself.
  pg_restore --no-owner --no-privileges --file=- "$work/dump" | sed '/^CREATE SCHEMA public;$/d'
  cat <<'SQL'
DO $$
BEGIN
  IF to_regclass('public.meta') IS NOT NULL THEN
    UPDATE public.meta SET epoch = epoch + 1;
  END IF;
END $$;
SQL
} >"$work/script.sql"
ask --single-transaction --file="$work/script.sql" >/dev/null

revision=$(ask --command="SELECT string_agg(version_num, ',') FROM public.alembic_version")
[[ -n $revision ]] || fail "the restored database says no revision"
echo "restored at revision $revision; run xyte-mcp migrate, then start the services"
