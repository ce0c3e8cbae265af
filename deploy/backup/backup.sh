#!/usr/bin/env bash
# Back up the database into one checked file.
#
# Where: libpq's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD or PGPASSFILE, PGDATABASE), so that no password stands
# in a list of processes. The sealed keys of running tasks (task_secrets) stay out of it.
#
#   BACKUP_DIR             where the files go (required)
#   BACKUP_KEEP_DAYS       older files are removed after a success (default 14)
#   BACKUP_AGE_RECIPIENT   encrypt with age to this public key, or
#   BACKUP_GPG_RECIPIENT   with gpg to this key, or
#   BACKUP_PASSWORD_FILE   with openssl and the password on this file's first line
#   BACKUP_METRICS_FILE    where node_exporter's textfile collector learns of a success (xyte-backup.prom)
#   BACKUP_TARGET          also copy to s3://bucket/path (aws) or remote:path (rclone)
#
# Exit code 0 only if the file is whole and, where asked for, encrypted and copied.
set -euo pipefail
umask 077

fail() {
  echo "backup: $*" >&2
  exit 1
}

: "${PGDATABASE:?backup: name the database in PGDATABASE}"
: "${BACKUP_DIR:?backup: name the folder in BACKUP_DIR}"
keep_days=${BACKUP_KEEP_DAYS:-14}
[[ $keep_days =~ ^[1-9][0-9]*$ ]] || fail "BACKUP_KEEP_DAYS is a number of days"
command -v pg_dump >/dev/null || fail "pg_dump is missing: install PostgreSQL's client programs"
mkdir -p "$BACKUP_DIR"

# Looked for first: a backup that cannot be encrypted or copied shall not take its time before it says so.
suffix=""
if [[ -n ${BACKUP_AGE_RECIPIENT:-} ]]; then
  suffix=.age
  tool=age
elif [[ -n ${BACKUP_GPG_RECIPIENT:-} ]]; then
  suffix=.gpg
  tool=gpg
elif [[ -n ${BACKUP_PASSWORD_FILE:-} ]]; then
  suffix=.enc
  tool=openssl
  [[ -s $BACKUP_PASSWORD_FILE ]] || fail "BACKUP_PASSWORD_FILE is empty or missing"
fi
[[ -z $suffix ]] || command -v "$tool" >/dev/null || fail "$tool is missing"
case ${BACKUP_TARGET:-} in
  "") copier="" ;;
  s3://*) copier=aws ;;
  *:*) copier=rclone ;;
  *) fail "BACKUP_TARGET is s3://bucket/path or remote:path" ;;
esac
[[ -z $copier ]] || command -v "$copier" >/dev/null || fail "$copier is missing"

work=$(mktemp -d "$BACKUP_DIR/.backup.XXXXXX")
trap 'rm -rf "$work"' EXIT
name="xyte-$(date -u +%Y%m%dT%H%M%SZ).dump$suffix"

# The tables show their rows to their tenant and to the worker alone; a superuser sees them anyway.
PGOPTIONS="${PGOPTIONS:-} -c app.worker=on" pg_dump --format=custom --no-owner --enable-row-security \
  --exclude-table-data=task_secrets --file="$work/dump"

pg_restore --list "$work/dump" >"$work/list" || fail "the dump cannot be read"
grep -q "TABLE DATA public alembic_version " "$work/list" || fail "the dump lacks the service's tables"
if grep -q "TABLE DATA public task_secrets " "$work/list"; then
  fail "the dump holds sealed keys"
fi

case $suffix in
  .age) age --encrypt --recipient "$BACKUP_AGE_RECIPIENT" --output "$work/$name" "$work/dump" ;;
  .gpg) gpg --batch --yes --trust-model always --encrypt --recipient "$BACKUP_GPG_RECIPIENT" --output "$work/$name" "$work/dump" ;;
  .enc) openssl enc -aes-256-cbc -pbkdf2 -iter 600000 -salt -pass "file:$BACKUP_PASSWORD_FILE" -in "$work/dump" -out "$work/$name" ;;
  *) mv "$work/dump" "$work/$name" ;;
esac
[[ -s $work/$name ]] || fail "the file is empty"
(cd "$work" && sha256sum "$name" >"$name.sha256")

sync "$work/$name"
mv "$work/$name.sha256" "$work/$name" "$BACKUP_DIR/"

case $copier in
  aws)
    aws s3 cp --only-show-errors "$BACKUP_DIR/$name" "${BACKUP_TARGET%/}/$name"
    aws s3 cp --only-show-errors "$BACKUP_DIR/$name.sha256" "${BACKUP_TARGET%/}/$name.sha256"
    ;;
  rclone)
    rclone copyto "$BACKUP_DIR/$name" "${BACKUP_TARGET%/}/$name"
    rclone copyto "$BACKUP_DIR/$name.sha256" "${BACKUP_TARGET%/}/$name.sha256"
    ;;
esac

find "$BACKUP_DIR" -maxdepth 1 -type f -name 'xyte-*.dump*' -mtime "+$keep_days" -delete
if [[ -n ${BACKUP_METRICS_FILE:-} ]]; then
  printf 'xyte_backup_last_success_timestamp_seconds %s\n' "$(date +%s)" >"$work/metrics"
  chmod 0644 "$work/metrics"
  mv "$work/metrics" "$BACKUP_METRICS_FILE"
fi
echo "$BACKUP_DIR/$name"
