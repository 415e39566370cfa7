//! What each endpoint does, in one line: help and the OpenAPI document are made of it. An endpoint
//! without a line does not compile.

use super::endpoints::Endpoint;

impl Endpoint {
    /// What it does.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Health => "Whether this node can answer.",
            Self::SealStatus => "Whether this node can answer, as the command line asks.",
            Self::Leader => "Every node answers, so there is no leader to name.",
            Self::InitStatus => "Whether there is a wallet.",
            Self::Init => "Begin the wallet, and hand out its shares and its root token, once.",
            Self::Unseal => {
                "Hand in a share; with enough of them the wallet is opened on this node."
            }
            Self::RootAttempt => "Begin to make a root token, see how far it is, or give it up.",
            Self::RootUpdate => "Hand in a share for a root token; with enough of them it is made.",
            Self::RootRotation | Self::RecoveryRotation => {
                "Begin to make new shares, see how far that is, or give it up."
            }
            Self::RootRotationUpdate | Self::RecoveryRotationUpdate => {
                "Hand in a share for new ones; with enough of them they are made."
            }
            Self::RootRotationVerify | Self::RecoveryRotationVerify => {
                "Show a new share; with enough of them the old ones are worth nothing."
            }
            Self::RotationBackup => "No share is kept, so there is no backup.",
            Self::DecodeToken => "Take a root token from under its one-time pad.",
            Self::Seal => "Close the wallet on every node.",
            Self::SysMetrics | Self::Metrics => "Numbers for Prometheus.",
            Self::Mounts => "The mounts.",
            Self::ReadMount => "One mount, or with /tune behind its path what it goes by.",
            Self::EnableMount => "Enable a mount, or with /tune behind its path describe it.",
            Self::DisableMount => "Remove a mount with all its secrets, for ever.",
            Self::Remount => "Give a mount another path.",
            Self::RemountStatus => "Whether a mount has its other path.",
            Self::UiMounts => "The mounts that the caller has anything to do with.",
            Self::UiMount => "The mount that a path leads into.",
            Self::OpenApi => "This document.",
            Self::LookupSelf => "The caller's own token.",
            Self::TokenCreate => "Make a token, which ends with its maker's.",
            Self::TokenCreateOrphan => "Make a token that does not end with its maker's.",
            Self::TokenCreateByRole => "Make a token by a role.",
            Self::TokenLookup => "A token.",
            Self::TokenLookupAccessor => "The token of an accessor.",
            Self::TokenRenew => "Make a token last longer.",
            Self::TokenRenewSelf => "Make the caller's own token last longer.",
            Self::TokenRenewAccessor => "Make the token of an accessor last longer.",
            Self::TokenRevoke => "End a token, and those that were made with it.",
            Self::TokenRevokeSelf => "End the caller's own token.",
            Self::TokenRevokeAccessor => "End the token of an accessor.",
            Self::TokenRevokeOrphan => "End a token, and leave those that were made with it.",
            Self::TokenAccessors => "The accessors of all tokens.",
            Self::TokenTidy => "Clear away the tokens that have ended.",
            Self::TokenRoles => "The names of the roles.",
            Self::ReadTokenRole => "A role.",
            Self::WriteTokenRole => "Make or change a role.",
            Self::DeleteTokenRole => "Delete a role: its tokens are not renewed any more.",
            Self::WrappingWrap => "Wrap what is sent.",
            Self::WrappingUnwrap => "Open a wrapped answer, once.",
            Self::WrappingRewrap => "Wrap a wrapped answer anew, under another token.",
            Self::WrappingLookup => "What is wrapped, and for how long.",
            Self::CubbyholeRead => "Read something in the token's own cubbyhole.",
            Self::CubbyholeWrite => "Put something into the token's own cubbyhole.",
            Self::CubbyholeDelete => "Remove something from the token's own cubbyhole.",
            Self::CubbyholeList => "What the token's own cubbyhole holds.",
            Self::Policies | Self::OldPolicies => "The names of the policies.",
            Self::ReadPolicy | Self::OldReadPolicy => "A policy.",
            Self::WritePolicy => "Write a policy.",
            Self::PatchPolicy => "Change a policy that is there.",
            Self::DeletePolicy => "Delete a policy.",
            Self::Capabilities => "What a token may do at paths.",
            Self::CapabilitiesSelf => "What the caller may do at paths.",
            Self::CapabilitiesAccessor => "What the token of an accessor may do at paths.",
            Self::KeyTerm => "The KEK version that new keys are wrapped under.",
            Self::Rotate | Self::WalletRotate => {
                "Make a new KEK version, and bring all keys under it."
            }
            Self::ReadRotation => "When the wallet makes a new KEK version by itself.",
            Self::WriteRotation => "Say when the wallet makes a new KEK version by itself.",
            Self::WalletKeyStatus => "The KEK versions, what is under them, and what is erased.",
            Self::AuditCheckpoint => {
                "The newest checkpoint of the log, and the key that signs them."
            }
            Self::AuditInclusion => "A proof that a message is in the log.",
            Self::AuditConsistency => "A proof that the log grew out of what it was before.",
            Self::WalletRotateCheckpointKey => "Let another key sign checkpoints.",
            Self::WalletExposed => "The secrets that are to be changed at their source.",
            Self::WalletKeyManager => "Move the wallet to another key manager, or to another key.",
            Self::WalletRetire => "Destroy a KEK version and all before it.",
            Self::WalletRestore => {
                "Write what secrets said at a moment of the past as new versions: all, or none."
            }
            Self::ToolsHash => "The hash of what is sent.",
            Self::ToolsRandom => "Random bytes.",
            Self::AuthMethods => "The ways to log in: tokens.",
            Self::AuthMethod => "One way to log in. There is none besides tokens.",
            Self::AuditDevices => "The audit devices: the log, which cannot be switched off.",
            Self::AuditDevice => "One audit device. There is none besides the log.",
            Self::AuditHash => "Refused: no audit device hashes anything.",
            Self::KvRead => "Read a version of a secret.",
            Self::KvWrite => "Write the next version of a secret.",
            Self::KvPatch => {
                "Write the next version of a secret by a merge patch of the current one."
            }
            Self::KvDelete => "Delete the current version, so that it can be brought back.",
            Self::KvDeleteVersions => "Delete versions, so that they can be brought back.",
            Self::KvUndelete => "Bring deleted versions back.",
            Self::KvDestroy => "Destroy the keys of versions: nobody can read them again.",
            Self::KvReadMetadata => "What is known about a secret and its versions.",
            Self::KvWriteMetadata => "Write what is known about a secret.",
            Self::KvPatchMetadata => "Change what is known about a secret by a merge patch.",
            Self::KvSubkeys => "The names in a secret, without their values.",
            Self::KvReadConfig => "What the secrets of a mount go by.",
            Self::KvWriteConfig => "Change what the secrets of a mount go by.",
            Self::KvList | Self::Kv1List => "The names in a folder.",
            Self::KvDetails => {
                "The names in a folder, or below it, with what is known about each secret."
            }
            Self::KvScan | Self::Kv1Scan => "The paths of all secrets below a folder.",
            Self::KvRemove => "Remove a secret with all its versions, for ever.",
            Self::Kv1Read => "Read a secret.",
            Self::Kv1Write => "Write a secret over what it was.",
            Self::Kv1Delete => "Remove a secret, for ever.",
            Self::CredentialWrite => "Write a credential.",
            Self::CredentialList => "The credentials that match a filter, without their secrets.",
            Self::CredentialRead => "A credential.",
            Self::CredentialRemove => "Remove a credential.",
            Self::Transaction => "Change several secrets: all, or none.",
            Self::State => "How far this node is in the log, and the digest there.",
            Self::Audit => {
                "The audit trail: who did what to which secret when, and with what answer."
            }
            Self::Erase => {
                "Erase a secret, versions of it, or a folder, for ever and with a receipt."
            }
            Self::Erasures => "The receipts of erasures, or of all that was destroyed of a secret.",
            Self::ReadErasure => "The receipt of an erasure, and how far it has come.",
            Self::Holds => "The legal holds.",
            Self::ReadHold => "A legal hold.",
            Self::PlaceHold => "Forbid that anything under a path is lost.",
            Self::LiftHold => "Lift a legal hold.",
            Self::GrantAuditor => "Let an auditor read what happened, and never a secret.",
            Self::AuditorGrants => "The auditor grants that stand.",
            Self::RevokeAuditor => "End an auditor grant: nothing more is granted by it.",
        }
    }
}
