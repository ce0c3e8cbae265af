"""The 80 operations both OpenAPI-made contenders offer; the first is the one that is measured."""

RESOURCES = (
    "device",
    "space",
    "ticket",
    "incident",
    "asset",
    "license",
    "model",
    "group",
    "edge",
    "command",
    "user",
    "note",
    "site",
    "firmware",
    "report",
    "schedule",
)
VERBS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}
OPERATIONS = tuple((verb, resource) for verb in VERBS for resource in RESOURCES)
KEY_HEADER = "X-XYTE-API-KEY"


def name_of(verb: str, resource: str) -> str:
    return f"list_{resource}s" if verb == "list" else f"{verb}_{resource}"


def path_of(verb: str, resource: str, prefix: str) -> str:
    collection = f"{prefix}/{resource}s"
    return collection if verb in ("list", "create") else f"{collection}/{{{resource}_id}}"
