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
    "The body's text holds a NUL character.",
    "The body's JSON has an integer of more than 18 digits.",
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False drops a failure; each that is dropped is noted for the report."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = response.json()
    if problem.get("source") != "xyte" and not any(rule in problem["detail"] for rule in RULES):
        return True
    with Path(os.environ["FUZZ_ACCEPTED"]).open("a") as file:
        file.write(f"{problem['error']}\n")
    return False
