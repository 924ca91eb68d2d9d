"""Vectors of `LANES` values in LLVM, and arrays at an address: what no Python says to numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

LANES = 16
"""Parts of a sum: enough to hide the time of an addition (four of 4 float64 with AVX2)."""
HALF = LANES // 2
FLOATS, DOUBLES = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)


def splat(builder: Any, value: Any) -> Any:
    """A vector of one value."""
    vector = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    for lane in range(LANES):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def load(builder: Any, data: Any, first: Any, align: int) -> Any:
    """`LANES` values from index `first` of what `data` points to."""
    vector = ir.VectorType(data.type.pointee, LANES)
    return builder.load(builder.bitcast(builder.gep(data, [first]), vector.as_pointer()), align=align)


def vectors(builder: Any, array: Any, i: int) -> Any:
    """Where the vector `i` of an array stands."""
    vectors = ir.VectorType(array.data.type.pointee, LANES).as_pointer()
    return builder.gep(builder.bitcast(array.data, vectors), [ir.Constant(array.nitems.type, i)])


def arrays(context: Any, builder: Any, signature: Any, args: Any, indices: Sequence[int]) -> list[Any]:
    """The arrays among the arguments of an intrinsic."""
    return [context.make_array(signature.args[i])(context, builder, args[i]) for i in indices]


def add_to(builder: Any, place: Any, value: Any, align: int) -> None:
    """Add a vector to that at a place."""
    builder.store(builder.fadd(builder.load(place, align=align), value), place, align=align)


def add_product(builder: Any, place: Any, value: Any, factor: Any) -> None:
    """Add a product to the vector at a place, rounded once: one instruction, and the same bits on every machine."""
    kind = ir.FunctionType(DOUBLES, [DOUBLES] * 3)
    fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f64")
    builder.store(builder.call(fused, [value, factor, builder.load(place)]), place)


@intrinsic
def _sum_at(_: Any, values: Any, first: Any) -> Any:
    """Sum of `HALF` values of the first line of an array (f8)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = arrays(context, builder, signature, args, (0,))
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.VectorType(ir.DoubleType(), HALF).as_pointer())
        vector = builder.load(place, align=8)
        width = HALF
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), width), lanes))
                for lanes in (list(range(width)), list(range(width, 2 * width)))
            )
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float64(values, first), generate


sum_at: Any = _sum_at
"""As it is called in kernels: without the typing context."""


def _array_at_address(_: Any, address: Any, like: Any, shape: Any) -> Any:
    """The C-contiguous array of this shape at an address, of values of the type of `like`."""
    array = types.Array(like, len(shape), "C", readonly=True)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder)
        index = context.get_value_type(types.intp)
        size = ir.Constant(index, like.bitwidth // 8)
        lengths = cgutils.unpack_tuple(builder, args[2])
        strides = [size]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        data = builder.inttoptr(args[0], context.get_value_type(types.CPointer(like)))
        populate_array(made, data, lengths, strides, size, meminfo=None)
        return made._getvalue()

    return array(address, like, shape), generate


array_at: Any = intrinsic(_array_at_address)
