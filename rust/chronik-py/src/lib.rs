//! The extension module `chronik._chronik`: a thin skin over `chronik_node::Cluster` and the checker of
//! histories.
//!
//! Owns the crossing and nothing else: arguments and results change language here, the interpreter is left while a call
//! waits, errors become the classes of `chronik.errors`, and no panic passes. What users touch is written in Python
//! (`python/chronik`), checks of arguments included. Importing does no work.

mod cluster;
mod crossing;
mod error;
mod history;
mod logs;
mod server;

use pyo3::prelude::*;

/// The module Python imports.
#[pymodule]
fn _chronik(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<cluster::Cluster>()?;
    module.add_class::<cluster::Snapshot>()?;
    module.add_class::<cluster::Interception>()?;
    module.add_function(wrap_pyfunction!(logs::subscribe_logs, module)?)?;
    module.add_function(wrap_pyfunction!(logs::unsubscribe_logs, module)?)?;
    module.add_function(wrap_pyfunction!(logs::next_log_lines, module)?)?;
    module.add_function(wrap_pyfunction!(logs::log_lines_dropped, module)?)?;
    module.add_function(wrap_pyfunction!(history::check_history, module)?)?;
    module.add_function(wrap_pyfunction!(server::run_server, module)?)?;
    Ok(())
}
