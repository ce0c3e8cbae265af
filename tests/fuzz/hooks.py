"""Runs inside schemathesis: tells a mistake of the service from a rule that no schema can say.

A request may fit its schema and be wrong all the same. Such a refusal is in order only where the cloud decided, by the
state of its things, or where one of the rules below did; everything else is counted as a failure.
"""

import os
from pathlib import Path

import schemathesis

RULES = (
    "from is after to",
    "days apart at most",
    "give at least one field to change",  # null is a value of a schema's optional field, and no change
    "give name or friendly_name",
    "give either cloud_id, or mac and sn together",
    "give device_ids, or space_id or model",
    "Nothing was sent.",  # the model of the device decides what its commands take
    "This idempotency key came before",
    "Two different idempotency keys.",
    "The selector means no device.",
    "No device is of this kind.",  # each organization says which kinds it has
    "content is not base64",
    "The body's text holds a NUL character.",
    "The query holds a NUL character.",
    "The body's JSON has an integer of more than 18 digits.",
)


LANGUAGES = {
    "POST /v1/operations/run",  # its arguments are those of another operation
    "PUT /v1/presets/{name}",  # a preset is a document with rules of its own
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False drops a failure; each that is dropped is noted for the report."""
    kind = type(failure).__name__
    if kind not in {"RejectedPositiveData", "AcceptedNegativeData"}:
        return True
    problem = response.json()
    if kind == "AcceptedNegativeData":
        in_order = ("maxLength" in failure.message and is_padded(case.body)) or (
            "Incorrect type" in failure.message and has_number_as_text(case.body)
        )
    else:
        in_order = (
            problem.get("source") == "xyte"
            or any(rule in problem["detail"] for rule in RULES)
            or case.operation.label in LANGUAGES
            or (is_padded(case.body) and "String should" in problem["detail"])
        )
    if not in_order:
        return True
    with Path(os.environ["FUZZ_ACCEPTED"]).open("a") as file:
        file.write(f"{problem.get('error', 'tolerated_text')}\n")
    return False


def has_number_as_text(value):
    """Whether a number in it comes as text, which models write now and then and the service reads as the number."""
    if isinstance(value, dict):
        return any(map(has_number_as_text, value.values()))
    if isinstance(value, list):
        return any(map(has_number_as_text, value))
    return isinstance(value, str) and value.removeprefix("-").replace(".", "", 1).isdecimal()


def is_padded(value):
    """Whether text in it has blanks around it, which the service takes away before it looks at it."""
    if isinstance(value, dict):
        return any(map(is_padded, value.values()))
    if isinstance(value, list):
        return any(map(is_padded, value))
    return isinstance(value, str) and value != value.strip()
