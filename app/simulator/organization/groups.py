"""Groups of users."""

from app.simulator import views
from app.simulator.calls import SUCCESS, Call, Refusal, known, page, required_text, text_list
from app.simulator.records import Group, User
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/groups")


@routes.add("GET")
def get_groups(call: Call) -> object:
    return page(call, call.organization.groups.values(), views.group)


@routes.add("GET", "/{id}")
def get_group(call: Call) -> object:
    return views.group(known(call.organization.groups, call.path["id"]))


@routes.add("POST")
def create_group(call: Call) -> object:
    body = call.json()
    group = Group(call.world.new_id("group"), required_text(body, "name"), call.world.now())
    if body.get("user_ids") is not None:
        _join(call, group, text_list(body, "user_ids"))
    call.organization.groups[group.id] = group
    return views.group(group)


@routes.add("PUT", "/{id}")
def update_group(call: Call) -> object:
    group = known(call.organization.groups, call.path["id"])
    group.name = required_text(call.json(), "name")
    return views.group(group)


@routes.add("DELETE", "/{id}")
def delete_group(call: Call) -> object:
    group = known(call.organization.groups, call.path["id"])
    del call.organization.groups[group.id]
    return SUCCESS


@routes.add("POST", "/{id}/add_users")
def add_users_to_group(call: Call) -> object:
    group = known(call.organization.groups, call.path["id"])
    _join(call, group, text_list(call.json(), "user_ids"))
    return views.group(group)


@routes.add("POST", "/{id}/add_external_user")
def add_external_user_to_group(call: Call) -> object:
    group = known(call.organization.groups, call.path["id"])
    email = required_text(call.json(), "email")
    if "@" not in email:
        raise Refusal(422, "Email is invalid")
    guest = User(call.world.new_id("user"), email, email.partition("@")[0], call.world.now(), external=True)
    group.users[guest.id] = guest
    return views.group(group)


@routes.add("POST", "/{id}/remove_users")
def remove_users_from_group(call: Call) -> object:
    group = known(call.organization.groups, call.path["id"])
    for user_id in text_list(call.json(), "user_ids"):
        group.users.pop(user_id, None)
    return views.group(group)


def _join(call: Call, group: Group, user_ids: list[str]) -> None:
    if unknown := set(user_ids) - call.organization.users.keys():
        raise Refusal(422, f"User {min(unknown)} not found")
    group.users |= {user_id: call.organization.users[user_id] for user_id in user_ids}
