"""People of an organization."""

from app.simulator import views
from app.simulator.calls import SUCCESS, Call, Refusal, known, optional_text, page, required_text, text_list
from app.simulator.records import User
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/users")


@routes.add("GET")
def get_users(call: Call) -> object:
    rows = (user for user in call.organization.users.values() if user.active)
    return page(call, rows, lambda user: views.user(user, call.organization))


@routes.add("GET", "/{id}")
def get_user(call: Call) -> object:
    return views.user(known(call.organization.users, call.path["id"]), call.organization)


@routes.add("POST", status=201)
def create_user(call: Call) -> object:
    body = call.json()
    email = required_text(body, "email")
    name = optional_text(body, "name") or email.partition("@")[0]
    group_ids = [] if body.get("group_ids") is None else text_list(body, "group_ids")
    if "@" not in email:
        raise Refusal(422, "Email is invalid")
    if any(user.email == email for user in call.organization.users.values()):
        raise Refusal(422, "Email has already been taken")
    if set(group_ids) - call.organization.groups.keys():
        raise Refusal(422, "Group not found")
    user = User(call.world.new_id("user"), email, name, call.world.now())
    call.organization.users[user.id] = user
    for group_id in group_ids:
        call.organization.groups[group_id].users[user.id] = user
    return views.user(user, call.organization)


@routes.add("POST", "/{id}/resend_welcome")
def resend_welcome_email(call: Call) -> object:
    known(call.organization.users, call.path["id"]).welcomed += 1
    return SUCCESS


@routes.add("POST", "/{id}/deactivate")
def deactivate_user(call: Call) -> object:
    user = known(call.organization.users, call.path["id"])
    user.active = False
    return views.user(user, call.organization)
