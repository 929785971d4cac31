//! Bodies of the fuzz targets: each takes bytes and must neither panic nor allocate out of proportion.
