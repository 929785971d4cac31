//! Random clients against a small model.
