//! Vectors come next.
