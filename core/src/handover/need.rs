//! What a command needs, on its way to another node.

use crate::{
    access::{Need, Wanted},
    cbor::as_array,
    event::CiphertextHash,
    id::MountId,
};

/// A need without parameters: they stay where they are.
pub(super) struct Form {
    path: String,
    action: Wanted,
    sudo: bool,
    wrap_ttl: Option<u64>,
    mount: Option<(MountId, CiphertextHash)>,
}

as_array!(Form {
    path,
    action,
    sudo,
    wrap_ttl,
    mount
});

/// The need as it is sent.
pub(super) fn sent(need: &Need) -> Form {
    Form {
        path: need.path.clone(),
        action: need.action,
        sudo: need.sudo,
        wrap_ttl: need.wrap_ttl,
        mount: need.mount,
    }
}

/// The need of what was received.
pub(super) fn received(form: Form) -> Need {
    Need {
        path: form.path,
        action: form.action,
        parameters: None,
        sudo: form.sudo,
        wrap_ttl: form.wrap_ttl,
        mount: form.mount,
    }
}
