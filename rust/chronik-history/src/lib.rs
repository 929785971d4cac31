//! What clients saw, and whether it can be true: events as JSON lines, and the checker of the promises.
