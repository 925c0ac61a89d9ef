//! Duration of the load on a server, and the build to load: from the environment, for figures.

use std::path::Path;

use super::Serve;

/// Seconds of load, from `LOAD_SECONDS`.
pub(crate) fn seconds() -> Option<u64> {
    std::env::var("LOAD_SECONDS").ok().map(|text| text.parse().expect("LOAD_SECONDS is a number of seconds"))
}

/// True if the full load is applied, which takes a minute.
pub(crate) fn is_whole() -> bool {
    seconds().is_some()
}

/// A server of the build that `LOAD_PROGRAM` names, from the folder of the project.
pub(crate) fn program(serve: Serve) -> Serve {
    let Some(program) = std::env::var_os("LOAD_PROGRAM") else { return serve };
    serve.program(Path::new(env!("CARGO_MANIFEST_DIR")).join(program))
}
