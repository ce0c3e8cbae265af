"""A pretend Xyte cloud: three APIs, a fleet that lives, faults on demand; it shares no code with the rest."""

from app.simulator.answers import ConnectionCut
from app.simulator.application import create_simulator
from app.simulator.fleet import ORGANIZATION_KEYS, PARTNER_KEY
from app.simulator.server import serve
from app.simulator.settings import Settings
from app.simulator.simulator import Simulator

__all__ = ["ORGANIZATION_KEYS", "PARTNER_KEY", "ConnectionCut", "Settings", "Simulator", "create_simulator", "serve"]
