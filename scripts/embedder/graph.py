"""The encoder of all-MiniLM-L6-v2 as an ONNX graph, with pooling and normalisation inside.

Inputs: ``input_ids`` and ``attention_mask``, both int32 of shape (texts, tokens). Output:
``sentence_embedding``, float32 of shape (texts, 384), rows of length 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

LAYERS = 6
HEADS = 12
WIDTH = 384
MAX_TOKENS = 256
EPSILON = 1e-12
TABLE = "token_table"
MS = "com.microsoft"


class _Graph:
    """Nodes and weights in the order in which they are added."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def const(self, name: str, value: Any) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, *inputs: str, out: str, domain: str = "", **attributes: Any) -> str:
        made = helper.make_node(op, list(inputs), [out], name=out, domain=domain, **attributes)
        self.nodes.append(made)
        return out

    def linear(self, source: str, name: str, out: str) -> str:
        """Add ``x W + b``; the weights of a checkpoint are stored transposed."""
        weight = self.const(f"{out}.weight", self._weights[f"{name}.weight"].T)
        bias = self.const(f"{out}.bias", self._weights[f"{name}.bias"])
        product = self.node("MatMul", source, weight, out=f"{out}.product")
        return self.node("Add", product, bias, out=out)

    def norm(self, source: str, name: str, out: str) -> str:
        scale = self.const(f"{out}.scale", self._weights[f"{name}.weight"])
        shift = self.const(f"{out}.shift", self._weights[f"{name}.bias"])
        return self.node(
            "LayerNormalization", source, scale, shift, out=out, axis=-1, epsilon=EPSILON
        )


def build(weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Return the float32 model of a checkpoint's weights."""
    graph = _Graph(weights)
    hidden = _embeddings(graph, weights)
    for number in range(LAYERS):
        hidden = _layer(graph, hidden, number)
    _pool(graph, hidden)
    shape = ["texts", "tokens"]
    made = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT32, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT32, shape),
        ],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["texts", WIDTH])],
        graph.initializers,
    )
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)],
        ir_version=8,
        producer_name="llmops-kernel",
    )


def _embeddings(graph: _Graph, weights: Mapping[str, np.ndarray]) -> str:
    table = graph.const(TABLE, weights["embeddings.word_embeddings.weight"])
    tokens = graph.node("Gather", table, "input_ids", out="tokens", axis=0)
    # All tokens are of type 0, so its row is folded into the positions.
    places = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    table = graph.const("position_table", places.astype(np.float32))
    length = graph.node("Shape", "input_ids", out="length", start=1, end=2)
    zero = graph.const("zero", np.array([0], np.int64))
    first = graph.const("axis_0", np.array([0], np.int64))
    positions = graph.node("Slice", table, zero, length, first, out="positions")
    total = graph.node("Add", tokens, positions, out="embeddings.sum")
    return graph.norm(total, "embeddings.LayerNorm", "embeddings")


def _layer(graph: _Graph, hidden: str, number: int) -> str:
    source, out = f"encoder.layer.{number}", f"layer{number}"
    query, key, value = (
        graph.linear(hidden, f"{source}.attention.self.{part}", f"{out}.{part}")
        for part in ("query", "key", "value")
    )
    context = graph.node(
        "MultiHeadAttention", query, key, value, "", "attention_mask",
        out=f"{out}.context", domain=MS, num_heads=HEADS,
    )  # fmt: skip
    mixed = graph.linear(context, f"{source}.attention.output.dense", f"{out}.mixed")
    total = graph.node("Add", mixed, hidden, out=f"{out}.mixed.sum")
    hidden = graph.norm(total, f"{source}.attention.output.LayerNorm", f"{out}.attended")
    wide = graph.linear(hidden, f"{source}.intermediate.dense", f"{out}.wide")
    bent = graph.node("Gelu", wide, out=f"{out}.gelu", domain=MS)
    narrow = graph.linear(bent, f"{source}.output.dense", f"{out}.narrow")
    total = graph.node("Add", narrow, hidden, out=f"{out}.narrow.sum")
    return graph.norm(total, f"{source}.output.LayerNorm", out)


def _pool(graph: _Graph, hidden: str) -> str:
    """Add the mean over the tokens, brought to length 1.

    The mean's divisor does not change the direction, so the sum is enough.
    """
    mask = graph.node("Cast", "attention_mask", out="mask.float", to=TensorProto.FLOAT)
    last = graph.const("axis_2", np.array([2], np.int64))
    mask = graph.node("Unsqueeze", mask, last, out="mask")
    kept = graph.node("Mul", hidden, mask, out="hidden.kept")
    middle = graph.const("axis_1", np.array([1], np.int64))
    total = graph.node("ReduceSum", kept, middle, out="hidden.sum", keepdims=0)
    length = graph.node("ReduceL2", total, middle, out="hidden.length", keepdims=1)
    return graph.node("Div", total, length, out="sentence_embedding")
