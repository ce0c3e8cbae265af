"""The protocol's official suite, against a server of fixtures on our endpoint and against the product itself."""
