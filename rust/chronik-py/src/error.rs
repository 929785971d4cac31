//! The only place where failures become Python exceptions.
//!
//! The classes are defined in Python (`chronik/errors.py`), because they derive from `ChronikError` and from a built-in
//! class at once; here each kind of failure is given its class.

use chronik_node::ClusterError;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Why a call from Python failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The cluster refused or could not.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A history is not one.
    #[error("this is not a history: {0}")]
    History(#[from] chronik_history::ReadError),
    /// Used in the child of a fork.
    #[error(
        "this cluster was started by process {owner} and cannot be used in its child {child}: threads do not survive \
         fork(); start a cluster in the child, or give it cluster.bootstrap_servers only"
    )]
    Forked {
        /// The process that started it.
        owner: u32,
        /// The process that called.
        child: u32,
    },
    /// A broken invariant.
    #[error("a broken invariant inside chronik: {0}; please report it")]
    Panicked(String),
}

impl Failure {
    /// The name of its class in `chronik.errors`.
    fn class(&self) -> &'static str {
        match self {
            Failure::Cluster(error) => cluster_class(error),
            Failure::History(_) => "InvalidValueError",
            Failure::Forked { .. } => "ForkError",
            Failure::Panicked(_) => "InternalError",
        }
    }
}

fn cluster_class(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::InvalidOption(_)
        | ClusterError::InvalidConfig(_)
        | ClusterError::NotAReplica { .. } => "InvalidValueError",
        ClusterError::PortInUse { .. } | ClusterError::Bind { .. } => "AddressError",
        ClusterError::DataDirectory { .. } | ClusterError::Disk { .. } | ClusterError::System { .. } => {
            "SystemRefusedError"
        }
        ClusterError::TimedOut { .. } | ClusterError::StillRunning { .. } => "ClusterTimeoutError",
        ClusterError::UnknownNode { .. }
        | ClusterError::UnknownTopic { .. }
        | ClusterError::UnknownPartition { .. } => "NotFoundError",
        ClusterError::TopicExists { .. } => "TopicExistsError",
        ClusterError::Kafka { .. } => "KafkaError",
        ClusterError::NodeStart { .. }
        | ClusterError::Removal { .. }
        | ClusterError::NotInMemory
        | ClusterError::ForeignSnapshot { .. }
        | ClusterError::NotRunning { .. }
        | ClusterError::AlreadyRunning { .. }
        | ClusterError::Frozen { .. }
        | ClusterError::NobodyToAsk
        | ClusterError::Stopped => "ClusterStateError",
    }
}

/// The Python exception for a failure.
pub(crate) fn raise(py: Python<'_>, failure: Failure) -> PyErr {
    let class = match class(py, failure.class()) {
        Ok(class) => class,
        // The package is broken; its import error says more than ours would.
        Err(error) => return error,
    };
    let text = failure.to_string();
    match failure {
        Failure::Cluster(ClusterError::Kafka { code, .. }) => PyErr::from_type(class, (text, code)),
        _ => PyErr::from_type(class, text),
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py.import("chronik.errors")?.getattr(name)?.cast_into::<PyType>()?)
}
