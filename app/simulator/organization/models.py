"""The models an organization can see."""

from app.simulator import views
from app.simulator.calls import Call, known, page
from app.simulator.records import Model
from app.simulator.routing import Routes
from app.simulator.world import World

routes = Routes("organization", "/core/v1/organization/models")


@routes.add("GET")
def get_models(world: World, call: Call) -> object:
    search, edge_only = (call.text("search") or "").casefold(), call.flag("edge_only")
    rows = (model for model in world.models.values() if search in _description(model) and (model.edge or not edge_only))
    return page(world, call, rows, views.model)


@routes.add("GET", "/{id}")
def get_model(world: World, call: Call) -> object:
    return views.model(known(world.models, call.path["id"]))


def _description(model: Model) -> str:
    return f"{model.vendor} {model.name} {model.kind}".casefold()
