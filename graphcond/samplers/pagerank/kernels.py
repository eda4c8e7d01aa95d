"""Compiled building blocks of the PageRank engines: prefetching, a list of the best, sums over vectors.

`relax` works on vectors of 64 bytes, with one entry per target, so that one pass over the edges serves a
whole block of targets. numba compiles the loop over the lanes of gathered rows to scalar code, whether it is
written as a loop or as array expressions; that is 5 to 8 times slower. So the loop is emitted as LLVM
instructions. Each lane is summed by itself, in the order of the edges: the result of a target does not depend
on the other targets of its block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BYTES = 64
"""A cache line, and the widest vector of today's processors."""

_INDEX, _INT = ir.IntType(64), ir.IntType(32)
_BYTE = ir.IntType(8).as_pointer()
_PREFETCH = ir.FunctionType(ir.VoidType(), [_BYTE, _INT, _INT, _INT])
_READ, _KEEP, _DATA = _INT(0), _INT(3), _INT(1)
"""Arguments of ``llvm.prefetch``: for reading, into all levels of the cache, data and not code."""


@intrinsic
def prefetch(_context, array, place):
    """Fetch the cache line of the item at ``place`` (uint64) of a contiguous ``array``.

    ``place`` counts items of the flattened array. It may be out of bounds: then nothing happens.
    """
    signature = types.void(array, place)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _BYTE)
        function = cgutils.get_or_insert_function(builder.module, _PREFETCH, "llvm.prefetch.p0")
        builder.call(function, [address, _READ, _KEEP, _DATA])
        return context.get_dummy_value()

    return signature, generate


# The best entries are kept in a binary heap with the worst at its root: one comparison with the root rejects
# most candidates, and no memory is needed beyond the answer itself.


@njit(cache=True, nogil=True, inline="always")
def _better(score, node, other_score, other_node):
    return score > other_score or (score == other_score and node < other_node)


@njit(cache=True, nogil=True)
def _sink(scores, nodes, size, score, node):
    """Replace the root of a heap by an entry, and move the entry down to where it belongs."""
    place = 0
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and _better(scores[below], nodes[below], scores[below + 1], nodes[below + 1]):
            below += 1
        if not _better(score, node, scores[below], nodes[below]):
            break
        scores[place], nodes[place] = scores[below], nodes[below]
        place = below
    scores[place], nodes[place] = score, node


@njit(cache=True, nogil=True)
def offer(scores, nodes, size, score, node):
    """Add ``node`` if it is among the ``len(scores)`` best so far; returns the new number of entries."""
    if size < scores.size:
        place = size
        while place > 0:
            above = (place - 1) // 2
            if _better(scores[above], nodes[above], score, node):
                scores[place], nodes[place] = scores[above], nodes[above]
                place = above
            else:
                break
        scores[place], nodes[place] = score, node
        return size + 1
    if size > 0 and _better(score, node, scores[0], nodes[0]):
        _sink(scores, nodes, size, score, node)
    return size


@njit(cache=True, nogil=True)
def best_to_worst(scores, nodes, size):
    """Sort the entries of a heap, the best first."""
    for end in range(size - 1, 0, -1):
        score, node = scores[end], nodes[end]
        scores[end], nodes[end] = scores[0], nodes[0]
        _sink(scores, nodes, end, score, node)


@njit(cache=True, nogil=True)
def reversed_edges(indptr, indices, weights, nodes):
    """The edges that lead to each node (``indptr, indices, weights``), sorted by their sources."""
    # A counting sort. Counts are stored two places ahead, so that their sums become cursors which have moved
    # to the right offsets once all edges are placed.
    starts = np.zeros(nodes + 2, np.uint64)
    for node in indices:
        starts[node + np.uint64(2)] += np.uint64(1)
    starts = np.cumsum(starts)
    into, into_weights = np.empty_like(indices), np.empty_like(weights)
    for node in range(np.uint64(nodes)):
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            place = starts[indices[edge] + np.uint64(1)]
            starts[indices[edge] + np.uint64(1)] += np.uint64(1)
            into[place] = node
            if weights.size > 0:
                into_weights[place] = weights[edge]
    return starts[:-1], into, into_weights


def lanes_of(dtype: type[np.floating]) -> int:
    """The number of values of ``dtype`` in a vector."""
    return BYTES // np.dtype(dtype).itemsize


def zeros(rows: int, dtype: type[np.floating]) -> Float[np.ndarray, "rows lanes"]:
    """An array of vectors, each on a cache line of its own."""
    memory = np.zeros((rows + 1) * BYTES, np.uint8)
    start = -memory.ctypes.data % BYTES
    return memory[start : start + rows * BYTES].view(dtype).reshape(rows, lanes_of(dtype))


def _relaxing(weighted: bool) -> Any:
    """An intrinsic of this signature, for edges with or without weights."""

    @intrinsic
    def relax(_context, indices, weights, now, then, first, last, row, scale, keep):
        signature = types.void(indices, weights, now, then, first, last, row, scale, keep)

        def generate(context, builder, signature, arguments):
            arrays = [
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:4], arguments[:4], strict=True)
            ]
            lane = arrays[2].type.pointee
            vector = ir.VectorType(lane, BYTES // context.get_abi_sizeof(lane))
            source, sink = (builder.bitcast(array, vector.as_pointer()) for array in arrays[2:])
            _emit(builder, vector, arrays[0], arrays[1] if weighted else None, source, sink, arguments[4:])
            return context.get_dummy_value()

        return signature, generate

    return relax


relax = _relaxing(weighted=False)
"""``then[row] = scale * sum(now[indices[first:last]]) + keep * then[row]``, lane by lane.

``now`` and ``then`` come from `zeros` and hold one dtype, which is that of ``scale`` and ``keep``; all other
numbers are uint64, and ``indices`` unsigned. Nothing is checked.
"""

relax_weighted = _relaxing(weighted=True)
"""As `relax`, with ``weights[first:last]`` (float32) before each term of the sum."""


def _emit(builder, vector, indices, weights, source, sink, numbers):
    """The instructions of `relax`: a block before the loop, the loop over the edges, a block behind it."""
    first, last, row, scale, keep = numbers
    before = builder.block
    loop, after = builder.append_basic_block("edges"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_unsigned("<", first, last), loop, after)

    # sum += weight * now[indices[edge]]
    builder.position_at_end(loop)
    edge, sum_ = builder.phi(_INDEX), builder.phi(vector)
    node = builder.load(builder.gep(indices, [edge]))
    place = node if node.type == _INDEX else builder.zext(node, _INDEX)
    term = builder.load(builder.gep(source, [place]), align=BYTES)
    if weights is not None:
        weight = builder.load(builder.gep(weights, [edge]))
        if vector.element != weight.type:
            weight = builder.fpext(weight, vector.element)
        term = builder.fmul(_everywhere(builder, vector, weight), term)
    more, following = builder.fadd(sum_, term), builder.add(edge, _INDEX(1))
    edge.add_incoming(first, before)
    edge.add_incoming(following, loop)
    sum_.add_incoming(vector(None), before)
    sum_.add_incoming(more, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, last), loop, after)

    # then[row] = scale * sum + keep * then[row]
    builder.position_at_end(after)
    total = builder.phi(vector)
    total.add_incoming(vector(None), before)
    total.add_incoming(more, loop)
    place = builder.gep(sink, [row])
    kept = builder.fmul(_everywhere(builder, vector, keep), builder.load(place, align=BYTES))
    scaled = builder.fmul(_everywhere(builder, vector, scale), total)
    builder.store(builder.fadd(scaled, kept), place, align=BYTES)


def _everywhere(builder, vector, number):
    """``number`` in every lane."""
    undefined = vector(ir.Undefined)
    one = builder.insert_element(undefined, number, _INT(0))
    return builder.shuffle_vector(one, undefined, ir.VectorType(_INT, vector.count)(None))
