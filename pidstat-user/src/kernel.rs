//! What this kernel allows: field offsets from BTF, the ladder of alternatives, loading and attaching, and reasons.
