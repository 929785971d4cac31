//! A seeded simulation of whole clusters: the production broker under faults of network, disk and clock.
