"""The packages that a lock names, with their hashes and licences, as text and as a CycloneDX document."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import UUID

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from app import __version__

# The library's decorators hide its constructors from a type checker.
make_bom: Any = Bom
make_component: Any = Component
make_hash: Any = HashType

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements.lock"
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
SPELLINGS = {
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "PSF": "PSF-2.0",
}
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
    }
)


@dataclass(frozen=True)
class Package:
    """One package of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str | None
    """None where it is not installed here, since its marker is for another platform or Python."""

    @property
    def is_free(self) -> bool:
        """Whether its licence is one that we take; of a choice, one that we take is enough."""
        if self.licence is None:
            return True
        choices = re.split(r"\s+OR\s+", self.licence.strip("()"))
        return any(set(re.split(r"\s+AND\s+", choice.strip("()"))) <= ALLOWED for choice in choices)


def packages(lock: Path = LOCK) -> list[Package]:
    """What the lock names, in its order."""
    return list(_packages(lock.read_text()))


def _packages(text: str) -> Iterator[Package]:
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not entry[:1].isalnum():
            continue
        wanted, *hashes = entry.split(" --hash=sha256:")
        requirement = Requirement(wanted.strip())
        version = str(requirement.specifier).removeprefix("==")
        yield Package(requirement.name, version, tuple(one.strip() for one in hashes), licence_of(requirement.name))


def licence_of(name: str) -> str | None:
    """What the installed package says of itself: an expression, else classifiers, else words."""
    try:
        said: Any = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if expression := said.get("License-Expression"):
        return expression
    classifiers = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if "License ::" in line]
    if known := [CLASSIFIERS[line] for line in classifiers if line in CLASSIFIERS]:
        return " AND ".join(known)
    text: str = said.get("License") or "unknown"
    if "Redistribution and use in source and binary forms" in text:
        return "BSD-3-Clause" if "Neither the name" in text else "BSD-2-Clause"
    words = text.splitlines()[0].strip()
    return SPELLINGS.get(words, words)


def bill(found: list[Package], lock: Path = LOCK) -> str:
    """The software bill of materials; the same lock gives the same text."""
    licences = LicenseFactory()
    bom = make_bom(serial_number=UUID(bytes=hashlib.sha256(lock.read_bytes()).digest()[:16], version=4))
    bom.metadata.component = make_component(
        name="xyte-gateway",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref="xyte-gateway",
        licenses=[licences.make_from_string("Apache-2.0")],
    )
    components = [component(package, licences) for package in found]
    for one in components:
        bom.components.add(one)
    bom.register_dependency(bom.metadata.component, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def component(package: Package, licences: LicenseFactory) -> Any:
    """A package in the document's words. A universal lock has the hashes of every file of it."""
    url = PackageURL("pypi", name=package.name, version=package.version)
    return make_component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=[licences.make_from_string(package.licence)] if package.licence else [],
        hashes=[make_hash(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes],
    )


def table(found: list[Package]) -> str:
    """The licences as a table in Markdown."""
    rows = [f"| {one.name} | {one.version} | {one.licence or 'not for this platform'} |" for one in found]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows]) + "\n"
