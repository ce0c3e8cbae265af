"""`python -m app.simulator`: the simulator alone."""

from app.simulator import Settings, serve

if __name__ == "__main__":
    serve(Settings())
