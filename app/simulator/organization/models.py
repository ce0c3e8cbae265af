"""The models an organization can see."""

from app.simulator import views
from app.simulator.calls import Call, known, page
from app.simulator.records import Model
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/models")


@routes.add("GET")
def get_models(call: Call) -> object:
    search, edge_only = (call.text("search") or "").casefold(), call.flag("edge_only")
    rows = (
        model for model in call.world.models.values() if search in _description(model) and (model.edge or not edge_only)
    )
    return page(call, rows, views.model)


@routes.add("GET", "/{id}")
def get_model(call: Call) -> object:
    return views.model(known(call.world.models, call.path["id"]))


def _description(model: Model) -> str:
    return f"{model.vendor} {model.name} {model.kind}".casefold()
