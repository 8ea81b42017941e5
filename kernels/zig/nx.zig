//! What a custom kernel in Zig needs from its surroundings: the width of sizes, and its share of the work.

/// As wide as a pointer: 32 bits in wasm32, 64 natively. All sizes have this type.
pub const Int = isize;

/// Which of `threads` equal workers runs this call. Every worker makes the same calls in the same order.
pub const Part = struct {
    thread: Int,
    threads: Int,

    /// The worker's share of `total` items, cut at multiples of `grain`: answers do not depend on threads.
    pub fn share(part: Part, total: Int, grain: Int) Share {
        const pieces = @divTrunc(total + grain - 1, grain);
        const from = @divTrunc(pieces * part.thread, part.threads) * grain;
        const to = @divTrunc(pieces * (part.thread + 1), part.threads) * grain;
        return .{ .begin = @intCast(@min(from, total)), .end = @intCast(@min(to, total)) };
    }
};

pub const Share = struct { begin: usize, end: usize };
