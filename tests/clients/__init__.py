"""Real clients, each in an environment of its own, against two replicas behind a proxy that takes turns."""
