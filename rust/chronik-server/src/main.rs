//! The `chronik-server` program. Everything it does is in the library, so that a Python console script can do it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = chronik_server::run(std::env::args_os());
    // Every code of the program fits; anything else is a failure all the same.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
