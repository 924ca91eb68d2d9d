"""The fused numba kernel: from the raw frames of a block of rows to stored frames, in one pass over the pixels.

It computes what `reference.py` defines, with the same float operations in the same order. All rows of the block go
through the same `TILE` raw lines before the next ones, so that dark, flat and mask are read once for the block: at
1024² they are as large as three frames. Between two lines nothing is kept but what fits in the first-level cache.
Transposed frames are written a tile at a time, one cache line after the other.

A setting that is off is a neutral number (dark 0, 1/flat 1, cap +inf, floor -inf), and a reference whose lines are all
alike is passed as one line, so it costs no memory traffic. numba compiles once per raw dtype. Lines of which no more is
asked than correction and sum are reduced in registers (`_reduce_line_chunks`), all others in memory (`_reduce_row`), to
the same bits. A feature of a row is measured in `_measure_chunks`, which sees each line once, in raw axes, bad pixels
as 0. Its sums run in `LANES` parts side by side: vectorised without reordering, so every machine gets the same bits.

The machine code is kept on disk (numba's cache), where a folder for it can be written: a start then takes 0.2 s instead
of 2 s. The cache notices a change of this file only, so everything that is compiled stands in it. Loops count in
unsigned integers (`N`): numba then knows that no index counts from the end, and they vectorise.
`error_model="numpy"`: no division here can be by zero, and checks would prevent vectorisation. No `fastmath`: it would
change bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

N = np.uintp

TILE = 16
"""Raw rows taken together: 16 float32 are the 64 bytes of one cache line of a transposed frame."""
LANES = 16
"""Parts of a sum: enough to hide the time of an addition (four of 4 float64 with AVX2)."""
HALF = LANES // 2

ROW_MOMENT, SQUARES, NEIGHBOURS = range(3)
N_SUMS = 3
"""Rows of `LANES` float64 for what is measured: times the row, squared, times the pixels to the left and above."""
IN_CELLS, IN_FRAME = range(2)
N_COLUMN_SUMS = 2
"""Rows of float64, an entry a column: sums since a row of cells began, and over the frame."""
N_LINES = 4
"""Rows of float64 scratch for the corrected values, see `_reduce_row`."""


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


_array_at: Any = intrinsic(_array_at_address)


FLOATS, DOUBLES = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)


def _splat(builder: Any, value: Any) -> Any:
    vector = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    for lane in range(LANES):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def _load(builder: Any, data: Any, first: Any, align: int) -> Any:
    """`LANES` values from index `first` of what `data` points to."""
    vector = ir.VectorType(data.type.pointee, LANES)
    return builder.load(builder.bitcast(builder.gep(data, [first]), vector.as_pointer()), align=align)


def _vectors(builder: Any, array: Any, i: int) -> Any:
    """Where the vector `i` of an array stands."""
    vectors = ir.VectorType(array.data.type.pointee, LANES).as_pointer()
    return builder.gep(builder.bitcast(array.data, vectors), [ir.Constant(array.nitems.type, i)])


def _arrays(context: Any, builder: Any, signature: Any, args: Any, indices: Sequence[int]) -> list[Any]:
    return [context.make_array(signature.args[i])(context, builder, args[i]) for i in indices]


def _add_to(builder: Any, place: Any, value: Any, align: int) -> None:
    builder.store(builder.fadd(builder.load(place, align=align), value), place, align=align)


def _add_product(builder: Any, place: Any, value: Any, factor: Any) -> None:
    """Rounded once: one instruction, and the same bits on every machine."""
    kind = ir.FunctionType(DOUBLES, [DOUBLES] * 3)
    fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f64")
    builder.store(builder.call(fused, [value, factor, builder.load(place)]), place)


def _measure_chunks(builder: Any, line: Any, good: Any, row: Any, lanes: Any, values: Callable[[Any], Any]) -> None:
    """Measure the good pixels of a line, as many as fill chunks of `LANES`; `values` gives those from an index.

    Written in LLVM's vectors, because a sum in a loop is vectorised only where its order is left to the compiler.
    `lanes` are the arrays of that name in `measuring_scratch`.
    """
    sums, columns, above, largest, n_zero = lanes
    index = line.nitems.type
    n_chunks = builder.udiv(line.nitems, ir.Constant(index, LANES))
    no_doubles, no_floats = ir.Constant(DOUBLES, None), ir.Constant(FLOATS, None)
    line_sum, squares, neighbours, before = (cgutils.alloca_once(builder, DOUBLES) for _ in range(4))
    for place in (line_sum, squares, neighbours, before):
        builder.store(no_doubles, place)
    maxima = _vectors(builder, largest, 0)
    line_largest, line_zeros = cgutils.alloca_once(builder, FLOATS), cgutils.alloca_once(builder, index)
    builder.store(builder.load(maxima, align=4), line_largest)
    builder.store(builder.load(n_zero.data), line_zeros)
    one_before = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [LANES - 1 + lane for lane in range(LANES)])
    with cgutils.for_range(builder, n_chunks) as loop:
        first = builder.mul(loop.index, ir.Constant(index, LANES))
        value = values(first)
        is_good = _load(builder, good.data, first, 1)
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
        _add_to(builder, line_sum, value, 8)
        _add_product(builder, squares, value, value)
        _add_product(builder, neighbours, value, builder.fadd(left, upper))
        _add_to(builder, builder.bitcast(builder.gep(columns.data, [first]), DOUBLES.as_pointer()), value, 8)
    builder.store(builder.load(line_largest), maxima, align=4)
    builder.store(builder.load(line_zeros), n_zero.data)
    moment = builder.fmul(builder.load(line_sum), _splat(builder, row))
    for i, total in ((ROW_MOMENT, moment), (SQUARES, builder.load(squares)), (NEIGHBOURS, builder.load(neighbours))):
        _add_to(builder, _vectors(builder, sums, i), total, 8)


@intrinsic
def _add_line_chunks(
    _: Any, line: Any, good: Any, row: Any, sums: Any, columns: Any, above: Any, largest: Any, n_zero: Any
) -> Any:
    """Measure a line (f4) that is in memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> None:
        pixels, goods, *lanes = _arrays(context, builder, signature, args, (0, 1, 3, 4, 5, 6, 7))
        _measure_chunks(builder, pixels, goods, args[2], lanes, lambda first: _load(builder, pixels.data, first, 4))

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
        pixels, goods, *lanes = _arrays(context, builder, signature, args, (0, 1, 3, 4, 5, 6, 7))
        frames, darks, flats = _arrays(context, builder, signature, args, (8, 11, 12))
        raw = context.get_value_type(types.CPointer(raw_type))
        offset = args[9]
        levels, caps, floors = (_splat(builder, args[i]) for i in (10, 13, 14))
        bits = ir.VectorType(ir.IntType(1), LANES)
        reaches = cgutils.alloca_once(builder, bits)
        builder.store(ir.Constant(bits, None), reaches)
        total = cgutils.alloca_once(builder, DOUBLES)

        def corrected(frame: Any, first: Any) -> Any:
            data = builder.inttoptr(builder.load(builder.gep(frames.data, [frame])), raw)
            count = _load(builder, data, builder.add(first, offset), raw_type.bitwidth // 8)
            if isinstance(raw_type, types.Float):
                is_reached = builder.fcmp_ordered(">=", count, levels)
                value = builder.fptrunc(count, FLOATS) if raw_type.bitwidth == 64 else count
            elif raw_type.signed:
                is_reached, value = builder.icmp_signed(">=", count, levels), builder.sitofp(count, FLOATS)
            else:
                is_reached, value = builder.icmp_unsigned(">=", count, levels), builder.uitofp(count, FLOATS)
            builder.store(builder.or_(builder.load(reaches), is_reached), reaches)
            value = builder.select(builder.fcmp_ordered(">", value, caps), caps, value)
            value = builder.fsub(value, _load(builder, darks.data, first, 4))
            value = builder.fmul(value, _load(builder, flats.data, first, 4))
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


@intrinsic
def _sum_at(_: Any, values: Any, first: Any) -> Any:
    """Sum of `HALF` values of the first line of an array (f8)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (array,) = _arrays(context, builder, signature, args, (0,))
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


add_line_chunks: Any = _add_line_chunks
reduce_line_chunks: Any = _reduce_line_chunks
sum_at: Any = _sum_at
"""As they are called in kernels: without the typing context."""


@njit(error_model="numpy", inline="always")
def _measure_line(
    row: Any, line: Any, good: Any, sums: Any, columns: Any, above: Any, largest: Any, n_zero: Any
) -> None:
    """Add a line of the stored frame, in raw axes, to what is measured; bad pixels count as 0."""
    add_line_chunks(line, good, np.float64(row), sums, columns, above, largest, n_zero)
    first = N(line.size // LANES * LANES)
    for lane in range(N(line.size) - first):
        x = first + lane
        value = np.float32(0)
        if good[x] != 0:
            value = line[x]
            if value > largest[lane]:
                largest[lane] = value
            if value <= 0:
                n_zero[0] += 1
        left = 0.0
        if x > 0 and good[x - N(1)] != 0:
            left = np.float64(line[x - N(1)])
        wide = np.float64(value)
        sums[ROW_MOMENT, lane] += row * wide
        sums[SQUARES, lane] += wide * wide
        sums[NEIGHBOURS, lane] += wide * (left + np.float64(above[x]))
        columns[IN_CELLS, x] += wide
        above[x] = value


@njit(error_model="numpy")
def _end_cells(place: Any, columns: Any, firsts: Any, transposes: Any, cell_sums: Any) -> None:
    """Enter the column sums of a line of cells, `place` of the stored frame, in the sums of its cells and columns."""
    for cell in range(N(firsts.shape[0])):
        first, stop = N(firsts[cell, 0]), N(firsts[cell, 1])
        total = 0.0
        while first + N(HALF) <= stop:
            total += sum_at(columns, first)
            first += N(HALF)
        while first < stop:
            total += columns[IN_CELLS, first]
            first += N(1)
        if transposes:
            cell_sums[cell, N(place)] = total
        else:
            cell_sums[N(place), cell] = total
    for x in range(N(columns.shape[1])):
        columns[IN_FRAME, x] += columns[IN_CELLS, x]
    columns[IN_CELLS] = 0.0


@njit(error_model="numpy")
def _end_measuring(shape: Any, orientation: Any, n_good: Any, i: Any, scratch: Any, feature: Any, cells: Any) -> None:
    """Enter what was measured in raw axes (of this shape) in the record, in stored axes; the scratch is as before."""
    transposes, reverses_rows, reverses_columns = orientation
    sums, columns, above, largest, n_zero = scratch[0][i], scratch[1][i], scratch[2][i], scratch[3][i], scratch[4][i]
    cell_sums = scratch[5][i]
    intensity, moment_rows, moment_columns, squares, neighbours = 0.0, 0.0, 0.0, 0.0, 0.0
    most = np.float32(-np.inf)
    for x in range(N(shape[1])):
        intensity += columns[IN_FRAME, x]
        moment_columns += x * columns[IN_FRAME, x]
    for lane in range(LANES):
        moment_rows += sums[ROW_MOMENT, lane]
        squares += sums[SQUARES, lane]
        neighbours += sums[NEIGHBOURS, lane]
        most = max(most, largest[lane])
    sums[:] = 0.0
    columns[:] = 0.0
    above[:] = 0.0
    largest[:] = -np.inf
    for y in range(N(n_good.shape[0])):
        for x in range(N(n_good.shape[1])):
            cells[y, x] = cell_sums[y, x] / n_good[y, x]  # NaN without a good pixel
    feature.intensity = intensity
    feature.square_sum = squares
    feature.neighbour_sum = neighbours
    if most > -np.inf:
        feature.max_counts = most
    feature.n_zero = n_zero[0]
    n_zero[0] = 0
    if intensity == 0.0:
        return
    if reverses_rows:  # before the division: exact where the counts are whole
        moment_rows = (shape[0] - 1) * intensity - moment_rows
    if reverses_columns:
        moment_columns = (shape[1] - 1) * intensity - moment_columns
    row, column = moment_rows / intensity, moment_columns / intensity
    feature.com_y = column if transposes else row
    feature.com_x = row if transposes else column


@njit(error_model="numpy", inline="always")
def _line_of(image: Any, y: Any) -> Any:
    """Line y of a reference; one whose lines are all alike has one line."""
    return image[y if image.shape[0] > 1 else 0]


@njit(error_model="numpy", inline="always")
def _corrected(count: Any, dark: Any, inverse_flat: Any, cap: Any, floor: Any) -> Any:
    """One raw value corrected but for the gain, float32. Written with comparisons that leave NaN as it is."""
    value = np.float32(count)
    if value > cap:
        value = cap
    value = (value - dark) * inverse_flat
    if value < floor:
        value = floor
    return value


@njit(error_model="numpy")
def _correct_line(raw: Any, dark: Any, inverse_flat: Any, level: Any, limits: Any, values: Any) -> Any:
    """Correct a raw line into `values`; whether any of its counts is at the level or above."""
    cap, floor, gain = limits
    reaches = False
    for x in range(N(values.size)):
        reaches |= raw[x] >= level
        values[x] = _corrected(raw[x], dark[x], inverse_flat[x], cap, floor)
    if gain != 1:  # dividing takes as long as all the rest
        for x in range(N(values.size)):
            values[x] /= gain
    return reaches


@njit(error_model="numpy")
def _interpolate_line(
    frame: Any, y: Any, neighbours: Any, saturation: Any, limits: Any, bin: Any, values: Any, spoiled: Any
) -> Any:
    """Give the listed pixels of ROI row y the mean of their neighbours, 0 without; true when a neighbour saturated."""
    first_bad, bad_column, first_neighbour, row, column, dark, inverse_flat = neighbours
    judges, level = saturation
    cap, floor, gain = limits
    is_spoiled = False
    for bad in range(first_bad[y], first_bad[y + 1]):
        total = 0.0
        for i in range(first_neighbour[bad], first_neighbour[bad + 1]):
            count = frame[row[i], column[i]]
            total += np.float64(_corrected(count, dark[i], inverse_flat[i], cap, floor) / gain)
            if judges and count >= level:
                is_spoiled = True
                spoiled[bad_column[bad] // bin] = 1
        values[bad_column[bad]] = np.float32(total / max(first_neighbour[bad + 1] - first_neighbour[bad], 1))
    return is_spoiled


@njit(error_model="numpy")
def _mark_saturated(raw: Any, level: Any, good: Any, bin: Any, spoiled: Any, n_spoiled: Any) -> Any:
    """Mark the bins of a raw line in which a good pixel saturated; how many such pixels there are."""
    n = 0
    for x in range(good.size):
        if raw[x] >= level and good[x] != 0:
            n += 1
            spoiled[x // bin] = 1
            n_spoiled[x // bin] += 1
    return n


@njit(error_model="numpy")
def _count_saturated(
    row: Any, addresses: Any, window: Any, good: Any, saturation: Any, saturated_counts: Any, scratch: Any
) -> Any:
    """Count the saturated pixels of a row that is neither binned nor interpolated; the readings of all its frames."""
    raw_shape, first_row, first_column, bin = window
    judges, level = saturation
    spoiled, n_spoiled = scratch[3], scratch[4]
    n_columns = saturated_counts.shape[1]
    n = 0
    if judges:
        for j in range(addresses.size):
            raw = _array_at(addresses[j], level, raw_shape)[first_row + row, first_column : first_column + n_columns]
            n += _mark_saturated(raw, level, _line_of(good, row), bin, spoiled, n_spoiled)
            for x in range(n_columns):
                saturated_counts[row, x] += spoiled[x]
                spoiled[x] = 0
                n_spoiled[x] = 0
    return n


@njit(error_model="numpy")
def _add_to_bins(values: Any, counts: Any, bin: Any, binned: Any) -> None:
    for x in range(binned.size):
        total = binned[x]
        for i in range(x * bin, x * bin + bin):
            if counts[i] != 0:
                total += np.float64(values[i])
        binned[x] = total


@njit(error_model="numpy")
def _add_up(values: Any, total: Any, is_first: Any) -> None:
    if is_first:
        for x in range(N(total.size)):
            total[x] = np.float64(values[x])
    else:
        for x in range(N(total.size)):
            total[x] += np.float64(values[x])


@njit(error_model="numpy")
def _reduce_row(
    row: Any,
    addresses: Any,
    window: Any,
    references: Any,
    saturation: Any,
    limits: Any,
    neighbours: Any,
    group: Any,
    saturated_counts: Any,
    scratch: Any,
    line: Any,
) -> Any:
    """Reduce a row of the stored frame from the raw frames at `addresses` into `line`; saturated readings in it."""
    raw_shape, first_row, first_column, bin = window
    dark, inverse_flat, good, counts, scale = references
    judges, level = saturation
    divides, by_exposure, exposures_s, shortest, row_exposure_s = group
    first_bad = neighbours[0]
    pixels, lines, spoiled, n_spoiled, n_spoiled_shortest = scratch
    total, time_s, fallback, binned = lines[0], lines[1], lines[2], lines[3]
    k = addresses.size
    nx, n_columns = pixels.size, line.size
    is_plain = k == 1 and bin == 1  # then float64 would change nothing
    values = line if is_plain else pixels
    n_saturated = 0
    if by_exposure:
        total[:] = 0.0
        time_s[:] = 0.0
    for j in range(k):
        frame = _array_at(addresses[j], level, raw_shape)
        is_spoiled = False
        if bin > 1:
            binned[:] = 0.0
        for y in range(row * bin, row * bin + bin):
            raw = frame[first_row + y, first_column : first_column + nx]
            reaches = _correct_line(raw, _line_of(dark, y), _line_of(inverse_flat, y), level, limits, values)
            if judges and reaches:
                n = _mark_saturated(raw, level, _line_of(good, y), bin, spoiled, n_spoiled)
                is_spoiled |= n > 0
                if not by_exposure:
                    n_saturated += n
            if first_bad[y + 1] > first_bad[y]:  # only then worth the call
                is_spoiled |= _interpolate_line(frame, y, neighbours, saturation, limits, bin, values, spoiled)
            if bin > 1:
                _add_to_bins(values, _line_of(counts, y), bin, binned)
        if bin > 1:
            for x in range(N(n_columns)):
                binned[x] *= scale[row, x]
        if by_exposure:
            if bin == 1:
                _add_up(values, binned, True)
            for x in range(n_columns):
                if spoiled[x] == 0:
                    total[x] += binned[x]
                    time_s[x] += exposures_s[j]
                if j == shortest:
                    fallback[x] = binned[x]
                    n_spoiled_shortest[x] = n_spoiled[x]
        elif bin > 1:
            _add_up(binned, total, j == 0)
        elif not is_plain:
            _add_up(values, total, j == 0)
        if is_spoiled:
            for x in range(n_columns):
                if not by_exposure:
                    saturated_counts[row, x] += spoiled[x]
                spoiled[x] = 0
                n_spoiled[x] = 0
    if by_exposure:
        for x in range(n_columns):
            if time_s[x] > 0.0:
                line[x] = np.float32(total[x] / time_s[x] * row_exposure_s)
            else:
                line[x] = np.float32(fallback[x] / exposures_s[shortest] * row_exposure_s)
                saturated_counts[row, x] += np.uint32(k)
                n_saturated += n_spoiled_shortest[x]
    elif divides and not is_plain:
        for x in range(N(n_columns)):
            line[x] = np.float32(total[x] / k)
    elif not is_plain:
        for x in range(N(n_columns)):
            line[x] = np.float32(total[x])
    return n_saturated


@njit(error_model="numpy")
def _store_tile(tile: Any, first: Any, n_rows: Any, orientation: Any, out: Any) -> None:
    """Write raw rows `first` and following, which are the lines of the tile in the order of the frame, to a frame."""
    transposes, reverses_rows, reverses_columns = orientation
    n_tile, n_columns = tile.shape
    last = N(n_columns - 1)
    start = N(n_rows - first - n_tile if reverses_rows else first)
    if transposes:
        for x in range(N(n_columns)):
            target = out[last - x if reverses_columns else x]
            for i in range(N(n_tile)):
                target[start + i] = tile[i, x]
    else:  # only then come columns in reverse
        for i in range(N(n_tile)):
            target = out[start + i]
            for x in range(N(n_columns)):
                target[last - x] = tile[i, x]


def _compiled(function: Any) -> Any:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(**options)(function)


@_compiled
def reduce_pixels(
    addresses: Any,
    window: Any,
    references: Any,
    stored_good: Any,
    saturation: Any,
    limits: Any,
    neighbours: Any,
    group: Any,
    orientation: Any,
    out: Any,
    saturated_counts: Any,
    scratch: Any,
    layout: Any,
    measuring: Any,
    features: Any,
    cells: Any,
) -> Any:
    """Reduce the raw frames at `addresses` (n, k) to n rows in `out`, and count saturation in `saturated_counts`.

    What the pixels tell goes into `features`, (n,) of `FEATURES_DTYPE`, blank before; what is not known stays so.

    Settings come in tuples, in the order in which `FrameReducer` prepares them. An image of which all lines are alike
    may come as one line:

    - `window`: shape of a raw frame, first raw row, first raw column, bin
    - `references`: dark f4, 1/flat f4, good u1, counts-in-the-bin u1, each (y, x) of the ROI; scale of a bin f8, of the
      binned shape (not read when bin is 1)
    - `stored_good`: u1, of the binned shape
    - `saturation`: whether to judge, level in the raw dtype, which tells that of the frames
    - `limits`: cap of raw values, floor of corrected ones, gain, each f4
    - `neighbours`: `Neighbours`, then dark f4 and 1/flat f4 of each neighbour
    - `group`: divides by k, then (n,) combines by exposure, (n, k) exposures_s, (n,) index of the shortest, (n,)
      exposure_s of the row
    - `orientation`: transposes, reverses raw rows, reverses raw columns
    - `scratch`: tile (TILE, n_columns) f4, pixels (ROI columns) f4, lines (N_LINES, n_columns) f8, spoiled u1,
      n_spoiled i4 and n_spoiled_shortest i4 (n_columns), all but the last two of these zero
    - `layout`: `CellLayout`
    - `measuring`: `measuring_scratch` of n frames or more
    - `cells`: (n, side, side) f4, blank before
    """
    transposes, reverses_rows, reverses_columns = orientation
    divides, by_exposure, exposures_s, shortest, row_exposure_s = group
    raw_shape, first_row, first_column, bin = window
    dark, inverse_flat, good = references[:3]
    level = saturation[1]
    cap, floor, gain = limits
    first_bad = neighbours[0]
    tile = scratch[0]
    ends, firsts, n_good = layout
    sums, columns, above, largest, n_zero, cell_sums = measuring
    n_rows, n_columns = saturated_counts.shape
    is_simple = bin == 1 and gain == 1 and n_columns % LANES == 0 and not (divides and addresses.shape[1] > 1)
    fills_tile = transposes or reverses_columns
    for first in range(0, n_rows, TILE):
        n_tile = min(TILE, n_rows - first)
        for i in range(addresses.shape[0]):
            of_row = (divides, by_exposure[i], exposures_s[i], shortest[i], row_exposure_s[i])
            for row in range(first, first + n_tile):
                in_tile = first + n_tile - 1 - row if reverses_rows else row - first
                in_frame = n_rows - 1 - row if reverses_rows else row
                line = tile[in_tile] if fills_tile else out[i, in_frame]
                row_good = _line_of(stored_good, row)
                if is_simple and not by_exposure[i] and first_bad[row] == first_bad[row + 1]:
                    if reduce_line_chunks(
                        line,
                        row_good,
                        np.float64(row),
                        sums[i],
                        columns[i],
                        above[i],
                        largest[i],
                        n_zero[i],
                        addresses[i],
                        (first_row + row) * raw_shape[1] + first_column,
                        level,
                        _line_of(dark, row),
                        _line_of(inverse_flat, row),
                        cap,
                        floor,
                    ):
                        features[i].n_saturated += _count_saturated(
                            row, addresses[i], window, good, saturation, saturated_counts, scratch
                        )
                else:
                    features[i].n_saturated += _reduce_row(
                        row,
                        addresses[i],
                        window,
                        references,
                        saturation,
                        limits,
                        neighbours,
                        of_row,
                        saturated_counts,
                        scratch[1:],
                        line,
                    )
                    _measure_line(row, line, row_good, sums[i], columns[i], above[i], largest[i], n_zero[i])
                if ends[row] >= 0:
                    _end_cells(ends[row], columns[i], firsts, transposes, cell_sums[i])
            if fills_tile:
                _store_tile(tile[:n_tile], first, n_rows, orientation, out[i])
    for i in range(addresses.shape[0]):
        _end_measuring(saturated_counts.shape, orientation, n_good, i, measuring, features[i], cells[i])


@_compiled
def measure_pixels(stored: Any, good: Any, layout: Any, measuring: Any, features: Any, cells: Any) -> Any:
    """Features of the pixels of stored frames (n, y, x) f4 into `features` (n,), but for saturation, and their cells.

    `good` is u1; `measuring` of one frame or more; the rest as in `reduce_pixels`.
    """
    ends, firsts, n_good = layout
    sums, columns, above, largest, n_zero, cell_sums = measuring
    for i in range(stored.shape[0]):
        for row in range(stored.shape[1]):
            line = stored[i, row]
            _measure_line(row, line, good[row], sums[0], columns[0], above[0], largest[0], n_zero[0])
            if ends[row] >= 0:
                _end_cells(ends[row], columns[0], firsts, False, cell_sums[0])
        _end_measuring(good.shape, (False, False, False), n_good, 0, measuring, features[i], cells[i])
