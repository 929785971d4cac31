//! `chronik-server` from Python: the console script of the wheel runs the same main function as the binary.

use std::ffi::OsString;
use std::iter::once;

use pyo3::prelude::*;

use crate::crossing;
use crate::error::Failure;

/// Runs `chronik-server` with these arguments, the program's name left out, until it ends; the exit code.
#[pyfunction]
pub(crate) fn run_server(py: Python<'_>, args: Vec<String>) -> PyResult<i32> {
    let words = once("chronik-server".to_owned()).chain(args).map(OsString::from);
    crossing::leave(py, move || Ok::<_, Failure>(chronik_server::run(words)))
}
