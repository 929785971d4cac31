//! The coordinator of transactions: which producer may write under a transactional id, and what becomes of what it wrote.
//!
//! Hard state is [`TransactionsState`], from the records of one partition of `__transaction_state` in Kafka's layout; the
//! leader's machine is [`Transactions`]. The promise: a decision, once in the log, is carried out in every partition
//! whoever leads; a producer is told only when it has been.
//!
//! | file | what it holds |
//! |---|---|
//! | `transaction` | one transactional id, and the steps it can take |
//! | `record`, `state` | its record; all of them, as every replica has them |
//! | `machine` | the leader: deadlines, markers under way, who waits for them |
//! | `init`, `add`, `end`, `query` | the requests |
//!
//! What must not happen here: reading a clock, drawing randomness, making a producer id (a fresh one comes in with the
//! request that needs it).

mod add;
mod agenda;
mod config;
mod end;
mod init;
pub mod limits;
mod machine;
mod query;
mod record;
mod request;
mod state;
mod transaction;

pub use crate::coordinator::partition_for;
pub use config::TransactionsConfig;
pub use machine::Transactions;
pub use request::{TransactionReply, TransactionRequest};
pub use state::TransactionsState;
pub use transaction::{Transaction, TransactionStatus};
