"""Programs a person runs: a client library, bots, benches. Nothing here is imported by the server."""
