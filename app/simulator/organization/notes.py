"""Notes on devices and on spaces."""

from app.simulator import views
from app.simulator.calls import NOT_FOUND, Call, Refusal, known, page, required_text
from app.simulator.organization.spaces import space_in_path
from app.simulator.records import Note
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization")


@routes.add("GET", "/devices/notes")
def get_all_device_notes(call: Call) -> object:
    rows = (note for note in call.organization.notes.values() if note.device_id is not None)
    return page(call, rows, views.note)


@routes.add("GET", "/spaces/notes")
def get_all_space_notes(call: Call) -> object:
    rows = (note for note in call.organization.notes.values() if note.space_id is not None)
    return page(call, rows, views.note)


@routes.add("GET", "/devices/{device_id}/notes")
def get_device_notes(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    rows = (note for note in call.organization.notes.values() if note.device_id == device.id)
    return page(call, rows, views.note)


@routes.add("GET", "/spaces/{space_id}/notes")
def get_space_notes(call: Call) -> object:
    space = space_in_path(call)
    rows = (note for note in call.organization.notes.values() if note.space_id == space.id)
    return page(call, rows, views.note)


@routes.add("POST", "/devices/{device_id}/notes", status=201)
def create_device_note(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    content = required_text(call.json(), "content")
    return _keep(call, Note(call.world.new_id("note"), content, None, call.world.now(), device_id=device.id))


@routes.add("POST", "/spaces/{space_id}/notes", status=201)
def create_space_note(call: Call) -> object:
    space = space_in_path(call)
    content = required_text(call.json(), "content")
    return _keep(call, Note(call.world.new_id("note"), content, None, call.world.now(), space_id=space.id))


@routes.add("DELETE", "/devices/{device_id}/notes/{id}", status=204)
def delete_device_note(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    return _drop(call, device.id, None)


@routes.add("DELETE", "/spaces/{space_id}/notes/{id}", status=204)
def delete_space_note(call: Call) -> object:
    return _drop(call, None, space_in_path(call).id)


def _keep(call: Call, note: Note) -> object:
    call.organization.notes[note.id] = note
    return views.note(note)


def _drop(call: Call, device_id: str | None, space_id: int | None) -> object:
    note = known(call.organization.notes, call.path["id"])
    if (note.device_id, note.space_id) != (device_id, space_id):
        raise Refusal(404, NOT_FOUND)
    del call.organization.notes[note.id]
    return None
