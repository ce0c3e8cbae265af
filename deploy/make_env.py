#!/usr/bin/env python3
"""Write what compose.yaml needs, with fresh passwords: make_env.py DOMAIN > deploy/compose.env."""

import base64
import os
import secrets
import stat
import sys

SECRETS = ("POSTGRES_PASSWORD", "POSTGRES_ADMIN_PASSWORD", "REDIS_PASSWORD", "KEY_PEPPER", "GRAFANA_PASSWORD")


def main(arguments: list[str]) -> int:
    """Print the file; it is for the machine's owner alone, so nobody else may read what it is sent to."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: make_env.py DOMAIN > deploy/compose.env\n")
        return 2
    if not sys.stdout.isatty() and stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        os.fchmod(sys.stdout.fileno(), 0o600)
    # Letters and digits only, where a value stands in a URL.
    values = {name: secrets.token_hex(32) for name in SECRETS}
    values["SEALING_KEYS"] = base64.b64encode(secrets.token_bytes(32)).decode()
    sys.stdout.writelines(f"{name}={value}\n" for name, value in {"DOMAIN": arguments[0], **values}.items())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
