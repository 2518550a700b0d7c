"""Serving: plan a model's memory, run it in an engine, measure it, route to it.

`plan` is arithmetic. `models` finds what is to be served, `engines` knows how each engine is
started and asked. `servers` runs one detached on loopback under a random key, registers it as
``local/NAME`` once it has answered, watches and stops it. `door` is its way through the path of a
call, `loadtest` measures it, `build` compiles llama-server.
"""
