"""Asking the processor, in compiled code, for memory that will soon be read."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE, _NUMBER = ir.IntType(8).as_pointer(), ir.IntType(32)
_KIND = ir.FunctionType(ir.VoidType(), [_BYTE, _NUMBER, _NUMBER, _NUMBER])
_READ, _KEEP, _DATA = _NUMBER(0), _NUMBER(3), _NUMBER(1)


@intrinsic
def prefetch(_context, array, place):  # type: ignore[no-untyped-def]
    """Fetch the cache line of the item at ``place`` (uint64) of a contiguous ``array``.

    ``place`` counts items of the flattened array. One that is out of bounds is ignored: nothing is read.
    """
    signature = types.void(array, place)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _BYTE)
        function = cgutils.get_or_insert_function(builder.module, _KIND, "llvm.prefetch.p0")
        builder.call(function, [address, _READ, _KEEP, _DATA])
        return context.get_dummy_value()

    return signature, generate
