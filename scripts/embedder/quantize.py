"""From the float32 graph to the one that ships: int4 token table, int8 body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from embedder.graph import MS, TABLE
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 32
_OPSET, _IR = 21, 10  # the first with 4-bit integers
_INT4_MOST = 7


def shrink_table(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a token table of 4 bits, one scale for each 32 numbers of a row."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    table = next(each for each in made.graph.initializer if each.name == TABLE)
    packed, scales = _int4_blocks(numpy_helper.to_array(table))
    rows = numpy_helper.to_array(table).shape[0]
    made.graph.initializer.remove(table)
    # Two numbers a byte, the first one in the lower half.
    quantized = helper.make_tensor(
        TABLE, TensorProto.INT4, [rows, packed.shape[1] * 2], packed.tobytes(), raw=True
    )
    made.graph.initializer.extend([quantized, numpy_helper.from_array(scales, f"{TABLE}.scales")])
    for index, node in enumerate(made.graph.node):
        if node.op_type == "Gather" and node.input[0] == TABLE:
            gather = helper.make_node(
                "GatherBlockQuantized",
                [TABLE, node.input[1], f"{TABLE}.scales"],
                ["tokens.half"],
                name="tokens.half",
                domain=MS,
                gather_axis=0,
                quantize_axis=1,
                block_size=BLOCK,
            )
            cast = helper.make_node(
                "Cast", ["tokens.half"], list(node.output), name="tokens", to=TensorProto.FLOAT
            )
            made.graph.node.remove(node)
            made.graph.node.insert(index, cast)
            made.graph.node.insert(index, gather)
            break
    for opset in made.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = _OPSET
    made.ir_version = _IR
    return made


def _int4_blocks(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, width = table.shape
    blocks = table.reshape(rows, width // BLOCK, BLOCK)
    scales = (np.abs(blocks).max(axis=2) / _INT4_MOST).astype(np.float16)
    # Rounded by the scale that is stored, not by the one that was computed.
    divisor = np.where(scales == 0, 1, scales).astype(np.float32)[:, :, None]
    numbers = np.clip(np.rint(blocks / divisor), -_INT4_MOST, _INT4_MOST).astype(np.int8)
    nibbles = numbers.reshape(rows, width).view(np.uint8) & 0x0F
    return nibbles[:, 0::2] | (nibbles[:, 1::2] << 4), scales


def shrink_body(source: Path, target: Path) -> None:
    """Write the model with 8-bit matrices, one scale for each output.

    The range is reduced to 7 bits: processors without VNNI add two products in 16 bits, and would
    saturate.
    """
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={
            "MatMulConstBOnly": True,
            # Shape inference stops at Microsoft's operators, so types are told, not found.
            "DefaultTensorType": TensorProto.FLOAT,
        },
    )
