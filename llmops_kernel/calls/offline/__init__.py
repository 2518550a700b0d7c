"""The offline model: real answers from given text, without a network, a model file or a cost.

It answers questions by selecting sentences, summarises, extracts values, classifies from examples
and label descriptions, judges by overlap, fills JSON schemas and calls tools, in OpenAI's shapes.
It is deterministic and pure Python. What it cannot do (translate, write, know things) it says.
``sim/<model>`` is the same engine with a real model's price and a declared latency. Embeddings come
from the built-in embedder, as ``offline/embed``.
"""

from llmops_kernel.calls.offline.engine import FINGERPRINT, OfflineEngine
from llmops_kernel.calls.offline.latency import latency_s

__all__ = ["FINGERPRINT", "OfflineEngine", "latency_s"]
