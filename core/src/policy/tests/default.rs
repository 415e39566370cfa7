//! The policy of every token.

use super::*;

#[test]
fn a_token_may_look_after_itself_and_nothing_else() {
    let acl = acl(&[DEFAULT]);
    for (path, granted) in [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
        ("sys/capabilities-self", "update"),
        ("sys/internal/ui/resultant-acl", "read"),
        ("sys/leases/renew", "update"),
        ("sys/leases/lookup", "update"),
        ("cubbyhole/a/b", "create delete list read update"),
        ("sys/wrapping/wrap", "update"),
        ("sys/wrapping/lookup", "update"),
        ("sys/wrapping/unwrap", "update"),
        ("sys/tools/hash", "update"),
        ("sys/tools/hash/sha2-256", "update"),
        ("identity/oidc/provider/x/authorize", "read update"),
        ("auth/token/lookup", "deny"),
        ("auth/token/create", "deny"),
        ("sys/capabilities", "deny"),
        ("sys/policies/acl/x", "deny"),
        ("secret/data/a", "deny"),
        ("identity/oidc/provider/x/y/authorize", "deny"),
    ] {
        assert_eq!(names(&acl, path), granted, "{path}");
    }
}
