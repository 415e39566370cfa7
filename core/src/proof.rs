//! What an outsider checks the log with: the Merkle tree over its messages, checkpoints of the tree
//! as signed notes, and proofs that lead from one to the other.
//!
//! The tree is that of RFC 6962. Notes, checkpoints and cosignatures are in the formats of
//! `c2sp.org/signed-note`, `c2sp.org/tlog-checkpoint`, `c2sp.org/tlog-cosignature`,
//! `c2sp.org/tlog-proof` and `c2sp.org/tlog-witness`.

pub mod checkpoint;
pub mod history;
pub mod key;
pub mod leaf;
pub mod note;
pub mod path;
pub mod receipt;
pub mod statement;
pub mod submission;
pub mod tlog_proof;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use history::History;
pub use key::{KeyName, Signer, VerifierKey};
pub use note::Note;
pub use receipt::Receipt;
pub use statement::Statement;
pub use submission::Submission;
pub use tlog_proof::TlogProof;
pub use tree::{Frontier, Hash};
