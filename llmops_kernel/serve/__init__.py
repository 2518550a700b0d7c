"""Serving: plan a model's memory, run it in an engine, measure it, route to it.

`plan` is arithmetic. `engines` knows how each engine is started and asked. `start_server` runs one
detached on loopback under a random key, and registers it as ``local/NAME`` once it has answered;
`stop_server` ends it. `loadtest` measures it.
"""
