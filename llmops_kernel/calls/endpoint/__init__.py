"""The door over HTTP, in OpenAI's shapes, for everything that speaks to OpenAI.

Chat completions, responses and embeddings go through the same path as calls from Python; whatever
could not be metered is refused. It listens on loopback, wants a bearer token and checks the Host
header, so that neither another user nor a page in a browser can spend money here.
"""

from llmops_kernel.calls.endpoint.door import Door
from llmops_kernel.calls.endpoint.info import EndpointInfo
from llmops_kernel.calls.endpoint.server import Endpoint

__all__ = ["Door", "Endpoint", "EndpointInfo"]
