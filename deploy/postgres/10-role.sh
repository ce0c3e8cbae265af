#!/bin/bash
# The service's own role and database. It is no superuser: a superuser passes by the policies that keep tenants apart.
set -euo pipefail
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" <<'SQL'
\getenv password XYTE_PASSWORD
CREATE ROLE xyte LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE xyte OWNER xyte;
REVOKE ALL ON DATABASE xyte FROM PUBLIC;
SQL
