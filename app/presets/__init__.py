"""Named plans for a room: shipped ones and each tenant's own, checked before anything is sent, run by the worker."""
