"""Lines of which no more is asked than correction and sum, and what is measured of any line: in registers.

Written in LLVM's vectors, because a sum in a loop is vectorised only where its order is left to the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from stream_service.kernels.pixelpass.vectors import (
    DOUBLES,
    FLOATS,
    LANES,
    add_product,
    add_to,
    arrays,
    load,
    splat,
    vectors,
)

ROW_MOMENT, SQUARES, NEIGHBOURS = range(3)
N_SUMS = 3
"""Rows of `LANES` float64 for what is measured: times the row, squared, times the pixels to the left and above."""


def _measure_chunks(builder: Any, line: Any, good: Any, row: Any, lanes: Any, values: Callable[[Any], Any]) -> None:
    """Measure the good pixels of a line, as many as fill chunks of `LANES`; `values` gives those from an index.

    `lanes` are the arrays of that name in `measuring_scratch`.
    """
    sums, columns, above, largest, n_zero = lanes
    index = line.nitems.type
    n_chunks = builder.udiv(line.nitems, ir.Constant(index, LANES))
    no_doubles, no_floats = ir.Constant(DOUBLES, None), ir.Constant(FLOATS, None)
    line_sum, squares, neighbours, before = (cgutils.alloca_once(builder, DOUBLES) for _ in range(4))
    for place in (line_sum, squares, neighbours, before):
        builder.store(no_doubles, place)
    maxima = vectors(builder, largest, 0)
    line_largest, line_zeros = cgutils.alloca_once(builder, FLOATS), cgutils.alloca_once(builder, index)
    builder.store(builder.load(maxima, align=4), line_largest)
    builder.store(builder.load(n_zero.data), line_zeros)
    one_before = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [LANES - 1 + lane for lane in range(LANES)])
    with cgutils.for_range(builder, n_chunks) as loop:
        first = builder.mul(loop.index, ir.Constant(index, LANES))
        value = values(first)
        is_good = load(builder, good.data, first, 1)
        is_good = builder.icmp_unsigned("!=", is_good, ir.Constant(is_good.type, None))
        most = builder.load(line_largest)
        greater = builder.select(builder.fcmp_ordered(">", value, most), value, most)
        builder.store(builder.select(is_good, greater, most), line_largest)
        is_zero = builder.and_(is_good, builder.fcmp_ordered("<=", value, no_floats))
        zeros = builder.zext(builder.ctpop(builder.bitcast(is_zero, ir.IntType(LANES))), index)
        builder.store(builder.add(builder.load(line_zeros), zeros), line_zeros)
        value = builder.select(is_good, value, no_floats)
        place = builder.bitcast(builder.gep(above.data, [first]), FLOATS.as_pointer())
        upper = builder.fpext(builder.load(place, align=4), DOUBLES)
        builder.store(value, place, align=4)
        value = builder.fpext(value, DOUBLES)
        left = builder.shuffle_vector(builder.load(before), value, one_before)
        builder.store(value, before)
        add_to(builder, line_sum, value, 8)
        add_product(builder, squares, value, value)
        add_product(builder, neighbours, value, builder.fadd(left, upper))
        add_to(builder, builder.bitcast(builder.gep(columns.data, [first]), DOUBLES.as_pointer()), value, 8)
    builder.store(builder.load(line_largest), maxima, align=4)
    builder.store(builder.load(line_zeros), n_zero.data)
    moment = builder.fmul(builder.load(line_sum), splat(builder, row))
    for i, total in ((ROW_MOMENT, moment), (SQUARES, builder.load(squares)), (NEIGHBOURS, builder.load(neighbours))):
        add_to(builder, vectors(builder, sums, i), total, 8)


@intrinsic
def _add_line_chunks(
    _: Any, line: Any, good: Any, row: Any, sums: Any, columns: Any, above: Any, largest: Any, n_zero: Any
) -> Any:
    """Measure a line (f4) that is in memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> None:
        pixels, goods, *lanes = arrays(context, builder, signature, args, (0, 1, 3, 4, 5, 6, 7))
        _measure_chunks(builder, pixels, goods, args[2], lanes, lambda first: load(builder, pixels.data, first, 4))

    return types.void(line, good, row, sums, columns, above, largest, n_zero), generate


@intrinsic
def _reduce_line_chunks(
    _: Any,
    line: Any,
    good: Any,
    row: Any,
    sums: Any,
    columns: Any,
    above: Any,
    largest: Any,
    n_zero: Any,
    addresses: Any,
    offset: Any,
    level: Any,
    dark: Any,
    inverse_flat: Any,
    cap: Any,
    floor: Any,
) -> Any:
    """Correct the raw lines at `offset` of some frames, store their sum in `line` and measure it, all in registers.

    Gives whether any raw value is at the level or above.
    """
    raw_type = level

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pixels, goods, *lanes = arrays(context, builder, signature, args, (0, 1, 3, 4, 5, 6, 7))
        frames, darks, flats = arrays(context, builder, signature, args, (8, 11, 12))
        raw = context.get_value_type(types.CPointer(raw_type))
        offset = args[9]
        levels, caps, floors = (splat(builder, args[i]) for i in (10, 13, 14))
        bits = ir.VectorType(ir.IntType(1), LANES)
        reaches = cgutils.alloca_once(builder, bits)
        builder.store(ir.Constant(bits, None), reaches)
        total = cgutils.alloca_once(builder, DOUBLES)

        def corrected(frame: Any, first: Any) -> Any:
            data = builder.inttoptr(builder.load(builder.gep(frames.data, [frame])), raw)
            count = load(builder, data, builder.add(first, offset), raw_type.bitwidth // 8)
            if isinstance(raw_type, types.Float):
                is_reached = builder.fcmp_ordered(">=", count, levels)
                value = builder.fptrunc(count, FLOATS) if raw_type.bitwidth == 64 else count
            elif raw_type.signed:
                is_reached, value = builder.icmp_signed(">=", count, levels), builder.sitofp(count, FLOATS)
            else:
                is_reached, value = builder.icmp_unsigned(">=", count, levels), builder.uitofp(count, FLOATS)
            builder.store(builder.or_(builder.load(reaches), is_reached), reaches)
            value = builder.select(builder.fcmp_ordered(">", value, caps), caps, value)
            value = builder.fsub(value, load(builder, darks.data, first, 4))
            value = builder.fmul(value, load(builder, flats.data, first, 4))
            return builder.select(builder.fcmp_ordered("<", value, floors), floors, value)

        index = frames.nitems.type
        zero, one = ir.Constant(index, 0), ir.Constant(index, 1)

        def stored(first: Any, value: Any) -> Any:
            place = builder.bitcast(builder.gep(pixels.data, [first]), FLOATS.as_pointer())
            builder.store(value, place, align=4)
            return value

        def reduced(first: Any) -> Any:
            builder.store(builder.fpext(corrected(zero, first), DOUBLES), total)
            with cgutils.for_range_slice(builder, one, frames.nitems, one) as (frame, _):
                value = builder.fpext(corrected(frame, first), DOUBLES)
                builder.store(builder.fadd(builder.load(total), value), total)
            return stored(first, builder.fptrunc(builder.load(total), FLOATS))

        with builder.if_else(builder.icmp_unsigned("==", frames.nitems, one)) as (single, several):
            with single:  # where float64 would change nothing
                _measure_chunks(
                    builder, pixels, goods, args[2], lanes, lambda first: stored(first, corrected(zero, first))
                )
            with several:
                _measure_chunks(builder, pixels, goods, args[2], lanes, reduced)
        found = builder.bitcast(builder.load(reaches), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", found, ir.Constant(found.type, 0))

    lanes = (sums, columns, above, largest, n_zero)
    return types.boolean(line, good, row, *lanes, addresses, offset, level, dark, inverse_flat, cap, floor), generate


add_line_chunks: Any = _add_line_chunks
reduce_line_chunks: Any = _reduce_line_chunks
"""As they are called in kernels: without the typing context."""
